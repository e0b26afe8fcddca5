"""Choosing by links: which n cards are best connected, and which single card is missed least.

A matrix holds a score for every pair of cards by position: PCIe class points plus 100 for each NVLink between them
(HAMi v2.7.0 pkg/device/nvidia/links.go). Results are kept by matrix and candidates, since a fleet has few of either.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

#: Symmetric; a pair without a score, and a card with itself, is 0.
Matrix = tuple[tuple[int, ...], ...]

#: Points of one NVLink; a pair with fewer points has none.
LINK = 100

#: Up to so many candidates every set is looked at: 16 choose 8 are 12 870.
EXACT = 16


def total(matrix: Matrix, cards: Sequence[int]) -> int:
    """The sum of scores over all pairs of these cards."""
    return sum(matrix[a][b] for place, a in enumerate(cards) for b in cards[place + 1 :])


def loss(matrix: Matrix, free: Sequence[int], chosen: Sequence[int]) -> int:
    """What taking ``chosen`` out of ``free`` cuts: the scores between those that go and those that stay."""
    taken = set(chosen)
    return sum(matrix[a][b] for a in chosen for b in free if b not in taken)


def linked(matrix: Matrix, cards: Sequence[int]) -> bool:
    """Whether every pair of these cards has at least one NVLink."""
    return all(matrix[a][b] >= LINK for place, a in enumerate(cards) for b in cards[place + 1 :])


@functools.lru_cache(maxsize=4096)
def best_set(matrix: Matrix, free: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The ``count`` of ``free`` positions with the highest sum of scores.

    Of equals the one that cuts least from those that stay, then the one with the highest positions. ``free`` is sorted
    downwards; so is the answer. Exact for up to 16 cards, beyond that the best of the greedy choices.
    """
    if count == 1:
        return (_least_missed(matrix, free),)
    if len(free) > EXACT:
        return _greedy(matrix, free, count)
    rows = {card: sum(matrix[card][other] for other in free) for card in free}
    best: tuple[tuple[int, int], tuple[int, ...]] = ((-1, 0), ())

    def extend(chosen: tuple[int, ...], inside: int, cut: int, start: int) -> None:
        """Depth first, highest positions first, so the first of equals is the one to keep."""
        nonlocal best
        missing = count - len(chosen)
        if not missing:
            key = (inside, 2 * inside - cut)  # minus the loss: what the rows hold less both ends of the pairs inside
            if key > best[0]:
                best = (key, chosen)
            return
        for place in range(start, len(free) - missing + 1):
            card = free[place]
            gain = sum(matrix[card][other] for other in chosen)
            extend((*chosen, card), inside + gain, cut + rows[card], place + 1)

    extend((), 0, 0, 0)
    return best[1]


def _least_missed(matrix: Matrix, free: Sequence[int]) -> int:
    """A card for one: fewest links to free cards, then to any card, then the least sum; the highest of equals."""

    def missed(card: int) -> tuple[int, int, int, int]:
        to_free = [matrix[card][other] for other in free if other != card]
        links, all_links = sum(score // LINK for score in to_free), sum(score // LINK for score in matrix[card])
        return links, all_links, sum(to_free), -card

    return min(free, key=missed)


def _greedy(matrix: Matrix, free: Sequence[int], count: int) -> tuple[int, ...]:
    """From each card on, always the one that adds most; the best of these sets."""

    def grow(first: int) -> tuple[int, ...]:
        chosen = [first]
        while len(chosen) < count:
            rest = [card for card in free if card not in chosen]
            chosen.append(max(rest, key=lambda card: (sum(matrix[card][other] for other in chosen), card)))
        return tuple(sorted(chosen, reverse=True))

    return max((grow(first) for first in free), key=lambda cards: (total(matrix, cards), cards))


@functools.lru_cache(maxsize=4096)
def largest_linked(matrix: Matrix, cards: tuple[int, ...]) -> int:
    """How many of these cards, at most, are linked each with each."""

    def grow(size: int, options: tuple[int, ...]) -> int:
        most = size
        for place, card in enumerate(options):
            if size + len(options) - place <= most:
                break
            nearer = tuple(other for other in options[place + 1 :] if matrix[card][other] >= LINK)
            most = max(most, grow(size + 1, nearer))
        return most

    return grow(0, cards)


@functools.lru_cache(maxsize=4096)
def best_linked_set(matrix: Matrix, free: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    """The best set among those that are linked each with each; None when there is none."""
    best = best_set(matrix, free, count)
    if linked(matrix, best):
        return best
    if largest_linked(matrix, free) < count:
        return None
    sets = _linked_sets(matrix, free, count)
    return max(sets, key=lambda cards: (total(matrix, cards), -loss(matrix, free, cards), cards))


def _linked_sets(matrix: Matrix, free: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    if count == 0:
        return [()]
    found = []
    for place, card in enumerate(free[: len(free) - count + 1]):
        nearer = tuple(other for other in free[place + 1 :] if matrix[card][other] >= LINK)
        found += [(card, *rest) for rest in _linked_sets(matrix, nearer, count - 1)] if len(nearer) >= count - 1 else []
    return found
