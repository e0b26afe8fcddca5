"""Links between cards, in words and counted."""

from __future__ import annotations

from dataclasses import replace

from hami_operator.core.model import Device
from hami_operator.serving.links import largest_linked, link_of
from tests.serving.stage import card

#: Cards 0-1-2 are linked with each other, 3 with 0 alone.
MATRIX = ((0, 200, 200, 100), (200, 0, 200, 10), (200, 200, 0, 10), (100, 10, 10, 0))


def nvlinked(*positions: int) -> list[Device]:
    return [replace(card("n1", p), custom={"links": MATRIX, "position": p}) for p in positions]


def zoned(*zones: int) -> list[Device]:
    return [replace(card("n1", index), custom={"zone": zone}) for index, zone in enumerate(zones)]


def test_nvlink_is_told_with_the_cards_at_the_other_end() -> None:
    cards = nvlinked(0, 1, 2, 3)
    assert [link_of(each, cards) for each in cards] == [
        "NVLink with 1, 2, 3",
        "NVLink with 0, 2",
        "NVLink with 0, 1",
        "NVLink with 0",
    ]
    assert link_of(nvlinked(1)[0], nvlinked(1, 3)) == "no NVLink"


def test_zones_from_one_on_are_told_and_networks_from_zero() -> None:
    cards = zoned(0, 1)
    assert [link_of(each, cards) for each in cards] == ["", "zone 1"]
    network = replace(card("n1", 0), custom={"NetworkID": 0.0})
    assert link_of(network, [network]) == "network 0"


def test_the_largest_linked_group_is_counted() -> None:
    assert largest_linked(nvlinked(0, 1, 2, 3)) == 3
    assert largest_linked(nvlinked(1, 3)) == 1
    assert largest_linked(zoned(1, 2, 2)) == 2
    assert largest_linked([card("n1", 0)]) == 0
    assert largest_linked([]) == 0
