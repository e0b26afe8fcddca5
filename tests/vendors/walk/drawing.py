"""Cards and requests of every family, as its generators draw them, and nodes that have such cards."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hami_operator.core import protocol
from hami_operator.core.model import Device, Node
from tests.vendors.families import Family, under_test

#: Lists of cards, and amounts, drawn of each family.
DRAWN = 60


def drawn(strategy: st.SearchStrategy[Any], seed: int, count: int = DRAWN) -> list[Any]:
    """Values of a strategy: as many as there are, ``count`` at most."""
    values: list[Any] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        derandomize=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


@dataclass(eq=False)
class Kind:
    """A family with what was drawn of it: lists of cards, whose ids are made anew for each node, and amounts."""

    family: Family
    seed: int
    _cards: dict[str, list[list[Device]]] = field(default_factory=dict)

    @functools.cached_property
    def amounts(self) -> Sequence[dict[str, Any]]:
        """What containers ask."""
        return drawn(self.family.amounts, self.seed)

    def cards(self, node: str) -> Sequence[list[Device]]:
        """Lists of cards that a node of this name may have."""
        if node not in self._cards:
            self._cards[node] = drawn(self.family.cards(f"{node}-card"), self.seed)
        return self._cards[node]

    def tells_health(self, name: str, cards: Sequence[Device]) -> bool:
        """Whether these cards are read from their node as they are: of some families nobody is told that one is ill."""
        return list(self.family.profile.inventory(self.family.node(name, cards))) == list(cards)


def all_kinds(seed: int) -> tuple[Kind, ...]:
    """Every family under test."""
    return tuple(Kind(family, seed) for family in under_test())


@dataclass
class Site:
    """A node of one family: its cards as they are now, and which of them are cordoned."""

    kind: Kind
    name: str
    cards: list[Device]
    cordoned: frozenset[str] = frozenset()

    @classmethod
    def drawn(cls, kind: Kind, name: str, draw: random.Random) -> Site:
        """One with any of the kind's lists of cards."""
        return cls(kind, name, list(draw.choice(kind.cards(name))))

    def node(self, order: Sequence[Device] | None = None) -> Node:
        """The node as its plugin registers it, its cards in this order."""
        texts = {protocol.DEVICE_CORDON: ",".join(sorted(self.cordoned))}
        return self.kind.family.node(self.name, self.cards if order is None else order, texts)
