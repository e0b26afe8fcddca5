"""Wings: a board of eight cards in two wings of four, cards 0-3 and 4-7, with a link between i and i + 4.

HAMi v2.7.0 pkg/device/kunlun/topology.go (graphSelect). Wings are told by card index; the reference takes the place in
a list that the card policy has sorted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence

from hami_operator.core.vendor import CardState, Chooser

WING = 4
BOARD = 2 * WING
#: How many whole cards may be asked for.
COUNTS = (1, 2, 4, BOARD)

#: How many fitting cards a wing has, by the count asked, in the order in which wings are taken: the one that fits
#: tightest, and for a single card one whose number is odd, so that pairs and quads last.
TIGHTEST = {1: (1, 3, 2, 4), 2: (2, 3, 4), 3: (3, 4), 4: (4,)}

#: Quads across the wings that are linked, in the order in which they are tried.
QUADS = ((0, 1, 4, 5), (2, 3, 6, 7), (0, 2, 4, 6), (1, 3, 5, 7), (0, 3, 4, 7), (1, 2, 5, 6))


def power_of_two(fitting: Sequence[int], count: int) -> list[int] | None:
    """1, 2, 4 or 8 cards of the fitting ones (preferred first): in one wing, else a linked set across; None else."""
    if count == BOARD:
        return sorted(fitting) if set(fitting) >= set(range(BOARD)) else None
    if count not in COUNTS:
        return None
    return _in_one_wing(fitting, count) or _across(set(fitting), count)


def any_count(fitting: Sequence[int], count: int) -> list[int] | None:
    """As ``power_of_two``; also 3 in one wing, and 5, 6 or 7: the fuller wing, then partners of its cards, then any."""
    if count == 3:
        return _in_one_wing(fitting, count)
    if count not in (5, 6, 7):
        return power_of_two(fitting, count)
    wings = _wings(fitting)
    if len(wings[0]) + len(wings[1]) < count:
        return None
    fuller, other = sorted(wings, key=len, reverse=True)
    partners = {(card + WING) % BOARD for card in fuller}
    return [*fuller, *sorted(other, key=lambda card: card not in partners)][:count]


def sparing(ready: Sequence[int], others: Sequence[int], count: int, most: int) -> list[int] | None:
    """As ``any_count`` of both, ``ready`` preferred, with at most ``most`` of the others; None where that can't be."""
    chosen = any_count([*ready, *others], count)
    if chosen is None or len(set(chosen).difference(ready)) <= most:
        return chosen
    fewer = (any_count([*ready, *some], count) for some in itertools.combinations(others, most))
    return next((found for found in fewer if found is not None), None)


def by_index(choose: Callable[[Sequence[int], int], list[int] | None]) -> Chooser:
    """A chooser over cards: lowest index preferred, and what is chosen in order of index."""

    def chooser(candidates: Sequence[CardState], count: int) -> list[CardState] | None:
        by_place = {state.device.index: state for state in sorted(candidates, key=lambda state: state.device.index)}
        chosen = choose(list(by_place), count)
        return None if chosen is None else [by_place[index] for index in sorted(chosen)]

    return chooser


def worth(used: Collection[int]) -> int:
    """How many jobs of 1, 2 or 4 cards would fill what the wings have left; 1 for an idle board.

    HAMi v2.7.0 pkg/device/kunlun/device.go ScoreNode.
    """
    return sum(_FILL[len(wing)] for wing in _wings(used)) if used else 1


#: By the number of used cards of a wing.
_FILL = (1, 2, 1, 1, 0)


def _wings(cards: Collection[int]) -> tuple[list[int], list[int]]:
    return [card for card in cards if card < WING], [card for card in cards if WING <= card < BOARD]


def _in_one_wing(fitting: Sequence[int], count: int) -> list[int] | None:
    """Of wings that fit as tightly the one that has the most preferred card."""
    left, right = _wings(fitting)
    wings = (left, right) if fitting and fitting[0] < WING else (right, left)
    for size in TIGHTEST[count]:
        for wing in wings:
            if len(wing) == size:
                return wing[:count]
    return None


def _across(fitting: set[int], count: int) -> list[int] | None:
    if count == 2:
        return next(([card, card + WING] for card in range(WING) if {card, card + WING} <= fitting), None)
    quads = [list(quad) for quad in QUADS if count == 4 and fitting >= set(quad)]
    if len(fitting) < 6 or not quads:
        return next(iter(quads), None)
    return next((quad for quad in quads if _linked(*fitting.difference(quad))), quads[-1])


def _linked(a: int, b: int) -> bool:
    return a // WING == b // WING or abs(a - b) == WING
