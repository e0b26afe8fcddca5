"""What links cards of one node, as their families tell it, in words; and how many of some are linked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hami_operator.allocators.pairwise import LINK, Matrix, best_set, linked
from hami_operator.core.model import Device


def link_of(device: Device, cards: Sequence[Device]) -> str:
    """``zone 1``, ``network 0`` or ``NVLink with 1, 2``; empty where nothing is known. ``cards`` are the node's."""
    group = _group(device)
    if group:
        return group
    matrix, position = _matrix(device), device.custom.get("position")
    if matrix is None or not isinstance(position, int):
        return ""
    others = [card.index for card in cards if _has_link(matrix, position, card)]
    return f"NVLink with {', '.join(map(str, sorted(others)))}" if others else "no NVLink"


def _has_link(matrix: Matrix, position: int, card: Device) -> bool:
    other = card.custom.get("position")
    return isinstance(other, int) and other != position and matrix[position][other] >= LINK


def largest_linked(cards: Sequence[Device]) -> int:
    """How many of these cards, all of one node, are linked with each other at the most; 0 where no links are known."""
    groups = Counter(group for card in cards if (group := _group(card)))
    if groups:
        return max(groups.values())
    matrix = _matrix(cards[0]) if cards else None
    if matrix is None:
        return 0
    free = tuple(sorted((p for card in cards if isinstance(p := card.custom.get("position"), int)), reverse=True))
    sets = (best_set(matrix, free, count) for count in range(len(free), 1, -1))
    return next((len(found) for found in sets if linked(matrix, found)), min(len(free), 1))


def _group(device: Device) -> str:
    """The group of cards that the family says are linked: MetaX zones from 1 on, Ascend networks."""
    zone, network = device.custom.get("zone"), device.custom.get("NetworkID")
    if isinstance(zone, int) and zone > 0:
        return f"zone {zone}"
    return f"network {int(network)}" if isinstance(network, int | float) else ""


def _matrix(device: Device) -> Matrix | None:
    matrix = device.custom.get("links")
    return matrix if isinstance(matrix, tuple) else None
