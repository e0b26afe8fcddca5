"""Vastai: whole cards, or dies of as few cards as can be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hami_operator.core.model import Device
from tests.builders import node
from tests.golden import rows
from tests.vendors.binding import bind, pod_of, together, world
from tests.vendors.replay import check_fit, check_request, family

VASTAI = family("Vastai")


@pytest.mark.parametrize("row", rows("vastai.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(VASTAI, row)


@pytest.mark.parametrize("row", rows("vastai.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(VASTAI, Device("", 0, 1, 0, 100, "Vastai"), row)


@pytest.mark.parametrize("row", rows("vastai.yaml", "scores"))
def test_a_placement_on_few_cards_scores_best(row: dict[str, Any]) -> None:
    names = iter(f"d{number}" for number in range(9))

    def die(card: str | None) -> Device:
        custom = {} if card is None else {"DeviceStrategy": "die", "AIC": card}
        return Device(next(names), 0, 1, 0, 100, "Vastai", custom=custom)

    given = [[die(card) for card in dies] for dies in row["dies"]]
    assert together(VASTAI, given) == pytest.approx(row["score"], abs=1e-4)


def test_physical_cards_are_ordered_as_numbers() -> None:
    """Of two cards with as many dies the lower one is taken, and 2 is lower than 10."""
    cards = [
        {"id": f"va-{i}", "index": i, "count": 1, "type": "Vastai", "health": True}
        | {"custominfo": {"DeviceStrategy": "die", "AIC": aic}}
        for i, aic in enumerate(["10", "10", "2", "2"])
    ]
    there = world(VASTAI, node("n1", metadata={"annotations": {"hami.io/node-va-register": json.dumps(cards)}}))
    text = "va-3,Vastai,0,0:va-2,Vastai,0,0:;"
    assert bind(there, VASTAI, pod_of("p", {"vastaitech.com/va": 2})) == {
        "hami.io/Vastai-devices-to-allocate": text,
        "hami.io/Vastai-devices-allocated": text,
    }
