"""Runs against brute force: every start of every set of free places."""

from __future__ import annotations

import itertools

import pytest

from hami_operator.allocators.runs import aligned_run, first_run

PLACES = 9
SETS = [set(free) for size in range(PLACES + 1) for free in itertools.combinations(range(PLACES), size)]
COUNTS = range(1, PLACES + 1)


def starts(free: set[int], count: int, step: int) -> list[int]:
    """Every start of a free run, found by looking at all of them."""
    return [start for start in range(0, PLACES, step) if all(start + step_on in free for step_on in range(count))]


@pytest.mark.parametrize("count", COUNTS)
def test_the_first_run_is_the_lowest_there_is(count: int) -> None:
    for free in SETS:
        found = starts(free, count, 1)
        assert first_run(free, count) == (range(found[0], found[0] + count) if found else None), free


@pytest.mark.parametrize("count", COUNTS)
def test_an_aligned_run_is_the_lowest_that_begins_at_a_multiple_of_its_length(count: int) -> None:
    for free in SETS:
        found = starts(free, count, count)
        assert aligned_run(free, count) == (range(found[0], found[0] + count) if found else None), free


def test_a_run_does_not_wrap_around() -> None:
    assert first_run({0, 11}, 2) is None
    assert aligned_run({0, 15}, 2) is None
