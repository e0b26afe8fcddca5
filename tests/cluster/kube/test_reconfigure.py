"""Other families in force while the operator runs."""

from __future__ import annotations

import pytest

from hami_operator.app import build
from hami_operator.config import QuotaSection, Settings
from hami_operator.kube.client import Client
from hami_operator.telemetry import Telemetry

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]


async def test_a_plugin_that_fails_is_left_alone_across_a_reload(client: Client) -> None:
    settings = Settings(quota=QuotaSection(crd="off"))
    operator = build(settings, client.access, client, Telemetry())
    place = ("n1", "NVIDIA")
    operator.world.cluster.failing.failed(place, "some-pod", operator.world.now())
    before = operator.world.cluster
    await operator.reconfigure(settings.devices)
    assert operator.world.cluster is not before
    assert operator.world.cluster.failing.active(place, operator.world.now())
