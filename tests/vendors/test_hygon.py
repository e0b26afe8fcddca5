"""Hygon: the generic rule, selection by model, the plugin's list."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.model import Container, Device
from tests.builders import node
from tests.golden import rows
from tests.vendors.binding import bind, pod_of, world
from tests.vendors.replay import check_fit, check_request, family

DCU = family("DCU")

REGISTERED = "DCU-TR3A0001,4,65520,100,DCU-K100_AI,0,true,0,hami:DCU-TR3A0002,4,32752,100,DCU-Z100L,0,true,1,hami:"


@pytest.mark.parametrize("row", rows("hygon.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(DCU, row)


@pytest.mark.parametrize("row", rows("hygon.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(DCU, Device("", 0, 4, 65520, 100, "DCU-K100_AI"), row)


def test_the_lists_name_the_family_and_not_the_model() -> None:
    there = world(DCU, node("n1", metadata={"annotations": {"hami.io/node-dcu-register": REGISTERED}}))
    text = "DCU-TR3A0001,DCU,2000,60:;"
    assert bind(
        there, DCU, pod_of("p", {"hygon.com/dcunum": 1, "hygon.com/dcumem": 2000, "hygon.com/dcucores": 60})
    ) == {
        "hami.io/dcu-devices-to-allocate": text,
        "hami.io/dcu-devices-allocated": text,
    }


def test_h11_a_memory_factor_is_the_size_of_one_amount() -> None:
    profile = family("DCU", hygon={"memoryFactor": 1024})
    request = profile.request(Container("main", limits={"hygon.com/dcunum": "1", "hygon.com/dcumem": "8"}))
    assert request is not None
    assert request.memory_mib == 8192
