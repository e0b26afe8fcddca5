"""Whole modules, against every way to take them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from hami_operator.allocators.modules import modules
from hami_operator.core.model import Device
from hami_operator.core.vendor import CardState


def dies(indexes: Sequence[int]) -> list[CardState]:
    return [CardState(Device(f"d{index}", index, 1, 65536, 20, "Ascend910C")) for index in indexes]


def taken(indexes: Sequence[int], count: int, size: int = 2) -> list[int] | None:
    chosen = modules(size)(dies(indexes), count)
    assert chosen is None or isinstance(chosen, list)
    return None if chosen is None else [state.device.index for state in chosen]


def split(chosen: Collection[int], free: Collection[int], size: int) -> tuple[int, int]:
    """How many dies are given beside whole modules, and how many whole modules that breaks."""
    touched = {die // size for die in chosen}
    loose = broken = 0
    for module in touched:
        members = set(range(module * size, module * size + size))
        given_dies = len(members & set(chosen))
        if given_dies < size:
            loose += given_dies
            broken += members <= set(free)
    return loose, broken


def test_modules_come_in_the_order_of_their_first_die() -> None:
    assert taken([7, 6, 5, 4, 3, 2, 0], 6) == [7, 6, 5, 4, 3, 2]
    assert taken([0, 3, 1, 2], 2) == [0, 1]


def test_two_halves_are_no_module() -> None:
    assert taken([7, 5, 3, 1], 2) is None
    assert taken([1, 2], 2) is None


def test_a_single_die_comes_from_a_module_that_is_broken() -> None:
    assert taken([5, 4, 2, 1, 0], 1) == [2]
    assert taken([5, 4, 2, 1, 0], 3) == [5, 4, 2]


def test_a_single_die_breaks_a_module_where_it_must() -> None:
    assert taken([3, 2, 1, 0], 1) == [3]
    assert taken([3, 2, 1, 0], 3) == [3, 2, 1]


@given(
    free=st.lists(st.integers(0, 8), unique=True, min_size=1),
    count=st.integers(1, 9),
    size=st.integers(2, 3),
)
def test_what_is_left_over_is_as_little_as_every_other_way_leaves(free: list[int], count: int, size: int) -> None:
    """Brute force: of all sets, those that give ``count % size`` dies beside whole modules, breaking the fewest."""
    ways = [split(chosen, free, size) for chosen in itertools.combinations(free, count)]
    rest = count % size
    allowed = [broken for loose, broken in ways if loose == rest]
    got = taken(free, count, size)
    if got is None:
        assert not [1 for chosen in itertools.combinations(free, count) if one_remainder(chosen, size)]
        return
    assert len(got) == len(set(got)) == count
    assert set(got) <= set(free)
    assert one_remainder(got, size)
    loose, broken = split(got, free, size)
    assert loose == rest
    assert broken == min(allowed)


def one_remainder(chosen: Collection[int], size: int) -> bool:
    """Whether all dies but those of at most one module are of whole modules, and no more modules than need be."""
    touched = {die // size for die in chosen}
    return len(touched) == -(-len(chosen) // size) and split(chosen, (), size)[0] == len(chosen) % size
