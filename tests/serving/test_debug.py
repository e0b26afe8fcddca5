"""What the operator shows of its ledger, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Allocation, Share
from hami_operator.serving import debug
from tests.builders import NOW, NVIDIA, asking, bound

pytestmark = pytest.mark.asyncio


async def shown(ledger: Ledger) -> dict[str, Any]:
    app = web.Application()
    app.add_routes(debug.routes(lambda: ledger))
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/debug/ledger")
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def test_an_empty_ledger_shows_nothing() -> None:
    assert await shown(Ledger([NVIDIA])) == {"nodes": {}, "quarantined": {}, "assumed": [], "differences": []}


async def test_running_pods_and_reservations_are_counted_card_by_card() -> None:
    ledger = Ledger([NVIDIA])
    ledger.observe(bound("running", "n1", "GPU-a,NVIDIA,3000,30:;"), NOW)
    ledger.assume(asking("reserved", gpu=1), "n1", Allocation({"NVIDIA": ((Share("GPU-a", "NVIDIA", 500, 5),),)}))
    found = await shown(ledger)
    assert found["nodes"] == {"n1": {"NVIDIA": {"GPU-a": [2, 3500, 35]}}}
    assert found["assumed"] == [{"pod": "default/reserved", "uid": "default/reserved", "node": "n1"}]


async def test_a_family_whose_usage_is_unknown_is_shown_with_its_problem() -> None:
    ledger = Ledger([NVIDIA])
    garbled = bound("garbled", "n1", "no list")
    ledger.observe(replace(garbled, resource_version="7"), NOW)
    assert list((await shown(ledger))["quarantined"]["n1"]) == ["NVIDIA"]
