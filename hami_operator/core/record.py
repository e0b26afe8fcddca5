"""What one pod holds, and the running totals of one node that such records are counted into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from .fit import NOTHING, Amounts, Tenant, added
from .model import PLAIN, Allocation, AntiAffinity, PodKey, Resources, Traits
from .usage import Holdings, Tenancies

Value = TypeVar("Value", int, Amounts)


@dataclass(frozen=True, slots=True)
class PodRecord:
    """What one pod holds. ``assumed``: reserved by us and not seen back yet.

    ``asked``: which of the names it uses of a family that allows only one (``Profile.one_name``).
    """

    key: PodKey
    node: str
    version: int = 0
    allocation: Allocation = Allocation()
    held: Holdings = field(default_factory=dict, hash=False)
    tenants: Tenancies = field(default_factory=dict, hash=False)
    resources: Resources = Resources()
    host_ports: frozenset[tuple[str, str, int]] = frozenset()
    anti_affinity: tuple[AntiAffinity, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict, hash=False)
    terminal: bool = False
    assumed: bool = False
    traits: Traits = PLAIN
    asked: frozenset[str] = frozenset()

    def weighs_like(self, other: PodRecord) -> bool:
        """Whether both hold the same on the same node, so that no total changes between them."""
        return self._weight() == other._weight()

    def _weight(self) -> tuple[object, ...]:
        return (
            self.node,
            self.held,
            self.tenants,
            self.resources,
            self.host_ports,
            self.anti_affinity,
            self.problems,
            self.traits,
            self.asked,
        )


@dataclass(slots=True)
class NodeUsage:
    """Running totals of one node. ``tenants``: family -> card -> pod uid -> shares, of families that ask for them."""

    pods: dict[str, PodRecord] = field(default_factory=dict)
    cards: dict[str, dict[str, Amounts]] = field(default_factory=dict)
    tenants: dict[str, dict[str, dict[str, tuple[Tenant, ...]]]] = field(default_factory=dict)
    cpu_milli: int = 0
    memory_bytes: int = 0
    ephemeral_bytes: int = 0
    extended: dict[str, int] = field(default_factory=dict)
    troubled: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def quarantined(self) -> dict[str, str]:
        """Families in which some pod's share is unknown: family -> problem."""
        return {family: problem for problems in self.troubled.values() for family, problem in problems.items()}

    def add(self, record: PodRecord, sign: int) -> None:
        """Count a record in (1) or out (-1)."""
        uid = record.key.uid
        if sign > 0:
            self.pods[uid] = record
        else:
            del self.pods[uid]
        if sign > 0 and record.problems:
            self.troubled[uid] = record.problems
        else:
            self.troubled.pop(uid, None)
        resources = record.resources
        self.cpu_milli += sign * resources.cpu_milli
        self.memory_bytes += sign * resources.memory_bytes
        self.ephemeral_bytes += sign * resources.ephemeral_bytes
        for name, amount in resources.extended.items():
            _count(self.extended, name, self.extended.get(name, 0) + sign * amount)
        for family, cards in record.held.items():
            totals = self.cards.setdefault(family, {})
            for card, amounts in cards.items():
                signed = Amounts(sign * amounts[0], sign * amounts[1], sign * amounts[2])
                _count(totals, card, added(totals.get(card, NOTHING), signed))
            if not totals:
                del self.cards[family]
        for family, shares in record.tenants.items():
            self._house(family, uid, shares, sign)

    def _house(self, family: str, uid: str, shares: Mapping[str, tuple[Tenant, ...]], sign: int) -> None:
        """Move a pod's shares in (1) or out (-1)."""
        cards = self.tenants.setdefault(family, {})
        for card, tenants in shares.items():
            by_pod = cards.setdefault(card, {})
            if sign > 0:
                by_pod[uid] = tenants
            else:
                del by_pod[uid]
            if not by_pod:
                del cards[card]
        if not cards:
            del self.tenants[family]


def _count(totals: dict[str, Value], key: str, value: Value) -> None:
    if value in (0, NOTHING):
        totals.pop(key, None)
    else:
        totals[key] = value
