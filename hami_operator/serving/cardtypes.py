"""Card types over all nodes: how many, how full, and the largest requests that fit now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .rollup import Kind, Rollup


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest requests that would fit now: one card with so much memory, whole cards of one node."""

    memory_mib: int
    memory_node: str
    whole_cards: int
    whole_cards_on_one_node: int
    whole_cards_linked: int


@dataclass(frozen=True, slots=True)
class TypeRow:
    """A card type over all nodes. Memory in MiB; cores in ``core_unit`` (``%``: 100 is one card)."""

    family: str
    type: str
    nodes: int
    cards: int
    healthy: int
    memory_mib: int
    given_mib: int
    free_mib: int
    core_unit: str
    cores: int
    given_cores: int
    slots: int
    shares: int
    fits: Fit


def card_types(rollups: Iterable[Rollup]) -> list[TypeRow]:
    """One row per family and type, in this order."""
    found: dict[tuple[str, str], list[tuple[str, Kind]]] = {}
    for rollup in rollups:
        for key, kind in rollup.kinds.items():
            found.setdefault(key, []).append((rollup.name, kind))
    return [_type(kinds) for _, kinds in sorted(found.items())]


def _type(kinds: list[tuple[str, Kind]]) -> TypeRow:
    first = kinds[0][1]
    roomiest, node = max((kind.largest_free_mib, name) for name, kind in kinds)
    return TypeRow(
        family=first.family,
        type=first.type,
        nodes=len(kinds),
        cards=sum(kind.cards for _, kind in kinds),
        healthy=sum(kind.healthy for _, kind in kinds),
        memory_mib=sum(kind.memory_mib for _, kind in kinds),
        given_mib=sum(kind.given_mib for _, kind in kinds),
        free_mib=sum(kind.free_mib for _, kind in kinds),
        core_unit=first.core_unit,
        cores=sum(kind.cores for _, kind in kinds),
        given_cores=sum(kind.given_cores for _, kind in kinds),
        slots=sum(kind.slots for _, kind in kinds),
        shares=sum(kind.shares for _, kind in kinds),
        fits=Fit(
            memory_mib=roomiest,
            memory_node=node if roomiest else "",
            whole_cards=sum(kind.whole_free for _, kind in kinds),
            whole_cards_on_one_node=max(kind.whole_free for _, kind in kinds),
            whole_cards_linked=max(kind.linked_free for _, kind in kinds),
        ),
    )
