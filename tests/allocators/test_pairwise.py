"""Choosing by links: the worked examples of the topologies, and brute force as the judge."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.allocators.pairwise import (
    Matrix,
    best_linked_set,
    best_set,
    largest_linked,
    linked,
    loss,
    total,
)


def matrix(size: int, score: Callable[[int, int], int]) -> Matrix:
    return tuple(tuple(0 if a == b else score(min(a, b), max(a, b)) for b in range(size)) for a in range(size))


NVSWITCH = matrix(8, lambda a, b: 1820 if a // 4 == b // 4 else 1810)
ISLANDS = matrix(8, lambda a, b: 420 if a // 4 == b // 4 else 10)
PCIE = matrix(8, lambda a, b: 50 if a // 2 == b // 2 else 30 if a // 4 == b // 4 else 10)
SQUARE = matrix(4, lambda a, b: 200 if (a, b) in {(0, 3), (1, 2), (2, 3)} else 100)

DOUBLE = {(0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (4, 7), (5, 6), (6, 7)}
SINGLE = {(0, 1), (0, 2), (1, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7)}


def dgx1(a: int, b: int) -> int:
    links = 200 if (a, b) in DOUBLE else 100 if (a, b) in SINGLE else 0
    near = 50 if (a, b) in {(0, 1), (2, 3), (4, 5), (6, 7)} else 20 if a // 4 == b // 4 else 10
    return links + near


MESH = matrix(8, dgx1)
ALL = tuple(range(7, -1, -1))


def down(*cards: int) -> tuple[int, ...]:
    return tuple(sorted(cards, reverse=True))


@pytest.mark.parametrize(
    ("topology", "free", "count", "chosen", "points"),
    [
        (NVSWITCH, ALL, 4, {4, 5, 6, 7}, 10920),
        (NVSWITCH, ALL, 8, set(range(8)), 50800),
        (NVSWITCH, down(0, 1, 4, 5, 6, 7), 4, {4, 5, 6, 7}, 10920),
        (ISLANDS, ALL, 4, {4, 5, 6, 7}, 2520),
        (ISLANDS, ALL, 8, set(range(8)), 5200),
        (ISLANDS, down(0, 1, 4, 5, 6, 7), 2, {0, 1}, 420),
        (PCIE, ALL, 2, {6, 7}, 50),
        (PCIE, ALL, 4, {4, 5, 6, 7}, 220),
        (SQUARE, down(0, 1, 2, 3), 3, {1, 2, 3}, 500),
        (MESH, ALL, 2, {6, 7}, 250),
        (MESH, ALL, 4, {4, 5, 6, 7}, 1080),
        (MESH, ALL, 8, set(range(8)), 2920),
    ],
)
def test_the_worked_sets(topology: Matrix, free: tuple[int, ...], count: int, chosen: set[int], points: int) -> None:
    found = best_set(topology, free, count)
    assert (set(found), total(topology, found)) == (chosen, points)


@pytest.mark.parametrize(
    ("topology", "free", "card"),
    [
        (NVSWITCH, ALL, 7),
        (NVSWITCH, down(0, 1, 4, 5, 6, 7), 1),
        (ISLANDS, down(0, 1, 2, 4, 5, 6, 7), 2),
        (ISLANDS, down(0, 4, 5, 6, 7), 0),
        (PCIE, down(0, 1, 2, 4, 5, 6, 7), 2),
        (SQUARE, down(0, 1, 2, 3), 1),
    ],
)
def test_a_single_card_is_the_one_that_is_missed_least(topology: Matrix, free: tuple[int, ...], card: int) -> None:
    assert best_set(topology, free, 1) == (card,)


def test_a_card_whose_partner_is_only_busy_stays_for_the_pair() -> None:
    x, y, z, w = range(4)
    topology = matrix(4, lambda a, b: 420 if (a, b) == (x, y) else 50 if (a, b) == (z, w) else 10)
    assert best_set(topology, down(x, z, w), 1) == (w,)


def test_a_matrix_without_scores_gives_the_highest_cards_and_never_none() -> None:
    assert best_set(matrix(4, lambda a, b: 0), down(0, 1, 2, 3), 2) == (3, 2)


def test_linked_sets() -> None:
    assert best_linked_set(ISLANDS, ALL, 4) == (7, 6, 5, 4)
    assert best_linked_set(ISLANDS, down(0, 1, 4, 5), 4) is None
    assert largest_linked(ISLANDS, ALL) == 4
    assert largest_linked(PCIE, ALL) == 1
    assert largest_linked(MESH, ALL) == 4


matrices = st.integers(2, 7).flatmap(
    lambda size: st.lists(
        st.sampled_from([0, 10, 20, 50, 110, 220, 420]), min_size=size * size, max_size=size * size
    ).map(lambda flat: matrix(size, lambda a, b: flat[a * size + b]))
)


@given(matrices, st.data())
def test_the_chosen_set_is_the_best_of_all_by_brute_force(topology: Matrix, data: st.DataObject) -> None:
    cards = data.draw(st.sets(st.integers(0, len(topology) - 1), min_size=1))
    free = down(*cards)
    count = data.draw(st.integers(1, len(free)))
    chosen = best_set(topology, free, count)
    assert len(set(chosen)) == count
    assert set(chosen) <= cards
    if count > 1:
        every = list(itertools.combinations(free, count))
        keys = {cards: (total(topology, cards), -loss(topology, free, cards)) for cards in every}
        assert keys[chosen] == max(keys.values())
        assert chosen == max(cards for cards in every if keys[cards] == keys[chosen])
    within = [cards for cards in itertools.combinations(free, count) if linked(topology, cards)]
    if count > 1:
        assert (best_linked_set(topology, free, count) is None) == (not within)
    assert largest_linked(topology, free) == max(
        size for size in range(1, len(free) + 1) for c in itertools.combinations(free, size) if linked(topology, c)
    )
