"""Link zones against brute force: every set of n candidates."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.allocators.zones import PAIR, Spill, grouped, linked_value, togetherness
from hami_operator.core.model import Device, Share
from hami_operator.core.vendor import CardState, Outlook
from tests.builders import device, node, pod

#: candidates are (zone, number)
Card = tuple[int | None, int]

some_cards = st.lists(st.sampled_from([None, 1, 1, 2, 2, 3]), min_size=1, max_size=7).map(
    lambda zones: [(zone, number) for number, zone in enumerate(zones)]
)
both_ways = pytest.mark.parametrize("spill", list(Spill))


def zone_of(card: Device) -> int | None:
    zone = card.custom["zone"]
    assert zone is None or isinstance(zone, int)
    return zone


def state(card: Card) -> CardState:
    return CardState(device(str(card[1]), custom={"zone": card[0]}))


def choose(cards: Sequence[Card], count: int, spill: Spill, all_cards: Sequence[Card] = ()) -> list[Card]:
    chosen = grouped(zone_of, spill, [state(card) for card in all_cards])([state(card) for card in cards], count)
    assert chosen is not None
    assert not isinstance(chosen, str)
    return [(zone_of(taken.device), int(taken.device.uuid)) for taken in chosen]


def sizes(cards: Sequence[Card]) -> Counter[int]:
    return Counter(zone for zone, _ in cards if zone is not None)


def touched(chosen: Sequence[Card]) -> int:
    """Zones that a choice uses; an unlinked card stands for itself."""
    return len(sizes(chosen)) + sum(zone is None for zone, _ in chosen)


@both_ways
@given(cards=some_cards, data=st.data())
def test_it_takes_n_different_candidates(spill: Spill, cards: list[Card], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(cards)))
    chosen = choose(cards, count, spill)
    assert len(set(chosen)) == count
    assert set(chosen) <= set(cards)


@both_ways
@given(cards=some_cards, data=st.data())
def test_all_come_from_the_smallest_zone_that_holds_them(spill: Spill, cards: list[Card], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(cards)))
    all_sizes = sizes(cards)
    inside = [
        min((all_sizes[zone], zone) for zone in sizes(subset))
        for subset in itertools.combinations(cards, count)
        if len(sizes(subset)) == 1 and subset[0][0] is not None and touched(subset) == 1
    ]
    chosen = choose(cards, count, spill)
    if inside:
        zone = min(inside)[1]
        assert chosen == [card for card in cards if card[0] == zone][:count]
    else:
        assert touched(chosen) == count == 1 or len(sizes(chosen)) != 1 or touched(chosen) > 1


@given(cards=some_cards, data=st.data())
def test_large_zones_first_touches_as_few_zones_as_possible(cards: list[Card], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(cards)))
    fewest = min(touched(subset) for subset in itertools.combinations(cards, count))
    assert touched(choose(cards, count, Spill.LARGEST_FIRST)) == fewest


@given(cards=some_cards, data=st.data())
def test_small_zones_first_uses_up_as_many_zones_as_possible(cards: list[Card], data: st.DataObject) -> None:
    """Unless one zone holds all, which then is left with a rest."""
    count = data.draw(st.integers(1, len(cards)))
    all_sizes = sizes(cards)
    if any(size > count for size in all_sizes.values()):
        return

    def used_up(chosen: Sequence[Card]) -> int:
        return sum(size == all_sizes[zone] for zone, size in sizes(chosen).items())

    most = max(used_up(subset) for subset in itertools.combinations(cards, count))
    chosen = choose(cards, count, Spill.SMALLEST_FIRST)
    assert used_up(chosen) == most or len(sizes(chosen)) == 1


@both_ways
@given(cards=some_cards, data=st.data())
def test_unlinked_cards_are_taken_only_when_the_linked_are_gone(
    spill: Spill, cards: list[Card], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(cards)))
    chosen = choose(cards, count, spill)
    linked = sum(zone is not None for zone, _ in cards)
    assert sum(zone is None for zone, _ in chosen) == max(count - linked, 0)


@given(cards=some_cards)
def test_the_value_counts_every_linked_pair(cards: list[Card]) -> None:
    pairs = sum(a is not None and a == b for (a, _), (b, _) in itertools.combinations(cards, 2))
    assert linked_value(zone for zone, _ in cards) == PAIR * pairs


def test_a_single_card_comes_from_a_zone_that_is_broken_already() -> None:
    everything = [(1, 0), (1, 1), (2, 2), (2, 3), (2, 4)]
    assert choose([(1, 0), (1, 1), (2, 2), (2, 3)], 1, Spill.LARGEST_FIRST, everything) == [(2, 2)]
    assert choose([(1, 0), (1, 1), (2, 2), (2, 3)], 1, Spill.LARGEST_FIRST) == [(1, 0)]


@pytest.mark.parametrize(
    ("containers", "value"),
    [([[1, 1]], 1.0), ([[1, 2]], 0.5), ([[1, 1, 2]], 2 / 3), ([[1, 1], [], [2, 1]], 1.5), ([[1, None]], 0.0)],
)
def test_togetherness_is_the_part_in_the_largest_zone(containers: list[list[int | None]], value: float) -> None:
    given, devices = [], {}
    for number, zones in enumerate(containers):
        given.append([Share(f"{number}-{index}", "X", 0, 0) for index in range(len(zones))])
        devices |= {f"{number}-{index}": device(custom={"zone": zone}) for index, zone in enumerate(zones)}
    outlook = Outlook(pod(), node(), "binpack", devices, {}, given)
    assert togetherness(outlook, zone_of) == pytest.approx(value)
