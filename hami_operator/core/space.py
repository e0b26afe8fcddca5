"""The pods of one namespace and what they hold together, as quotas ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .fit import Amounts
from .model import Traits
from .record import PodRecord
from .sums import Sums, sum_of

#: What quotas tell pods apart by: traits, and the names of which a pod may ask by one only.
Kind = tuple[Traits, frozenset[str]]


_NOBODY: Mapping[Kind, Sums] = {}


@dataclass(slots=True)
class Space:
    """The pods that hold something, by uid. ``version`` rises whenever what they hold changes.

    ``troubled`` are those of whom a share can't be read. Sums are made when they are asked for the first time.
    """

    pods: dict[str, PodRecord] = field(default_factory=dict)
    version: int = 0
    troubled: dict[str, PodRecord] = field(default_factory=dict)
    _sums: dict[str, dict[Kind, Sums]] | None = None

    def put(self, record: PodRecord) -> None:
        """A pod that holds something, new or in place of what was known of it."""
        self.drop(record)
        uid = record.key.uid
        self.pods[uid] = record
        if record.problems:
            self.troubled[uid] = record
        if self._sums is not None:
            self._count(record)

    def drop(self, record: PodRecord) -> None:
        """A pod that holds nothing any more."""
        self.version += 1
        uid = record.key.uid
        before = self.pods.pop(uid, None)
        if before is None:
            return
        self.troubled.pop(uid, None)
        for family in before.held if self._sums is not None else ():
            self._of(family, before).drop(uid)

    def refresh(self, record: PodRecord) -> None:
        """The same pod, which holds what it held."""
        self.pods[record.key.uid] = record

    def held(self, family: str) -> Amounts:
        """What all pods hold together of a family."""
        kinds = self._kinds(family)
        if len(kinds) == 1:
            for sums in kinds.values():
                return sums.total
        return sum_of(sums.total for sums in kinds.values())

    def totals(self, family: str) -> Iterator[tuple[Kind, Amounts]]:
        """What the pods of each kind hold together of a family."""
        return ((kind, sums.total) for kind, sums in self._kinds(family).items())

    def _kinds(self, family: str) -> Mapping[Kind, Sums]:
        if self._sums is None:
            self._sums = {}
            for record in self.pods.values():
                self._count(record)
        return self._sums.get(family, _NOBODY)

    def _count(self, record: PodRecord) -> None:
        for family, cards in record.held.items():
            amounts = next(iter(cards.values())) if len(cards) == 1 else sum_of(cards.values())
            self._of(family, record).put(record.key.uid, amounts)

    def _of(self, family: str, record: PodRecord) -> Sums:
        assert self._sums is not None
        return self._sums.setdefault(family, {}).setdefault((record.traits, record.asked), Sums())
