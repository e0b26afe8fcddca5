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

    ``troubled`` are those of whom a share can't be read. Where quotas ask for it (``count``), ``held`` is what all pods
    hold together by family, and ``totals`` what those of each kind do.
    """

    pods: dict[str, PodRecord] = field(default_factory=dict)
    version: int = 0
    troubled: dict[str, PodRecord] = field(default_factory=dict)
    held: dict[str, Amounts] = field(default_factory=dict)
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
            self._add_up(family)

    def refresh(self, record: PodRecord) -> None:
        """The same pod, which holds what it held."""
        self.pods[record.key.uid] = record

    def count(self) -> None:
        """Keep sums from now on. Decisions read them far more often than they change."""
        if self._sums is None:
            self._sums = {}
            for record in self.pods.values():
                self._count(record)

    def totals(self, family: str) -> Iterator[tuple[Kind, Amounts]]:
        """What the pods of each kind hold together of a family."""
        sums = self._sums or {}
        return ((kind, found.total) for kind, found in sums.get(family, _NOBODY).items())

    def _count(self, record: PodRecord) -> None:
        for family, cards in record.held.items():
            amounts = next(iter(cards.values())) if len(cards) == 1 else sum_of(cards.values())
            self._of(family, record).put(record.key.uid, amounts)
            self._add_up(family)

    def _of(self, family: str, record: PodRecord) -> Sums:
        assert self._sums is not None
        return self._sums.setdefault(family, {}).setdefault((record.traits, record.asked), Sums())

    def _add_up(self, family: str) -> None:
        """What all pods hold of a family, from the sums of their kinds."""
        assert self._sums is not None
        kinds = self._sums[family].values()
        self.held[family] = next(iter(kinds)).total if len(kinds) == 1 else sum_of(sums.total for sums in kinds)
