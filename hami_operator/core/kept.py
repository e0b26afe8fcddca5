"""What every node answers to one shape of request, kept up to date: the best one and the reasons of the others.

A change of one node costs one evaluation and a few logarithms; asking costs nothing when nothing changed, for pods
that fit as for pods that fit nowhere.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .allocate import Demand
from .certain import Certain
from .inventory import Inventory
from .model import Allocation
from .reasons import Reason, Refusal, Tally, unschedulable_text
from .room import Room

#: Allocations that are kept beside the verdicts, the newest: a node that has just changed is often the best again.
ALLOCATIONS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one node answers: a score, or refusals. ``busy``: its lock is held, so an equal node is preferred."""

    score: float = 0.0
    refusals: tuple[Refusal, ...] = ()
    busy: bool = False

    @property
    def fits(self) -> bool:
        """Whether the node takes the pod."""
        return not self.refusals


@dataclass(frozen=True, slots=True)
class _Everywhere(Mapping[str, Verdict]):
    """The same verdict for every node there is."""

    nodes: Inventory
    verdict: Verdict

    def __getitem__(self, name: str) -> Verdict:
        if self.nodes.get(name) is None:
            raise KeyError(name)
        return self.verdict

    def __iter__(self) -> Iterator[str]:
        return (entry.node.name for entry in self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True, slots=True, eq=False)
class Blanket:
    """One refusal that holds on every node, so that none needs to be looked at."""

    demand: Demand
    refusal: Refusal
    nodes: Inventory
    rooms: Mapping[str, Room] = field(default_factory=dict)
    fitting: int = 0

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """What each node answers, by name."""
        return _Everywhere(self.nodes, Verdict(refusals=(self.refusal,)))

    def reasons(self) -> Mapping[Reason, int]:
        """How many nodes refuse, by reason."""
        return {self.refusal.reason: len(self.nodes)}


#: (score with the sign of the policy, busy, node name): the least is the best
_Rank = tuple[float, bool, str]


@dataclass(slots=True, eq=False)
class Kept:
    """The verdicts of one shape, up to a position of the journal.

    ``rooms`` are what quotas leave its pods by family, where that bounds the verdicts; ``certain`` is what they are
    charged whichever cards they get. ``claims``: its pods use volumes.
    """

    demand: Demand
    rooms: Mapping[str, Room] = field(default_factory=dict)
    certain: Mapping[str, Certain] = field(default_factory=dict)
    claims: bool = False
    position: int = -1
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    allocations: dict[str, Allocation] = field(default_factory=dict)
    fitting: int = 0
    _heap: list[_Rank] = field(default_factory=list)
    _reasons: dict[Reason, Tally] = field(default_factory=dict)
    _sentence: str | None = None

    @property
    def sign(self) -> float:
        """-1 where a high score is good (binpack), 1 where a low one is (spread)."""
        return -1.0 if self.demand.node_policy == "binpack" else 1.0

    def keep(self, name: str, allocation: Allocation) -> None:
        """Remember what the node would give, until it changes."""
        self.allocations[name] = allocation
        if len(self.allocations) > ALLOCATIONS_KEPT:
            del self.allocations[next(iter(self.allocations))]

    def put(self, name: str, verdict: Verdict | None) -> None:
        """Take over a node's new answer; None: the node is gone."""
        before = self.verdicts.pop(name, None)
        if before == verdict:
            if verdict is not None:
                self.verdicts[name] = verdict
            return
        self._sentence = None
        if before is not None:
            self.fitting -= before.fits
            self._uncount(name, before.refusals)
        if verdict is None:
            return
        self.verdicts[name] = verdict
        self.fitting += verdict.fits
        if verdict.fits:
            self._push(self._rank(name, verdict))
        self._count(name, verdict.refusals)

    def best(self) -> str | None:
        """The node to choose: by score, then one that is not busy, then by name."""
        while self._heap:
            rank = self._heap[0]
            if self._stands(rank):
                return rank[2]
            heapq.heappop(self._heap)
        return None

    def leading(self, count: int) -> list[tuple[str, float]]:
        """The best nodes with their scores, best first: walks down the heap, as far as it must."""
        found: dict[str, float] = {}
        frontier = [(self._heap[0], 0)] if self._heap else []
        while frontier and len(found) < count:
            rank, place = heapq.heappop(frontier)
            if self._stands(rank):
                found[rank[2]] = rank[0] * self.sign
            for below in range(2 * place + 1, min(2 * place + 3, len(self._heap))):
                heapq.heappush(frontier, (self._heap[below], below))
        return list(found.items())

    def sentence(self) -> str:
        """Why nothing fits, as counts of nodes by reason."""
        if self._sentence is None:
            self._sentence = unschedulable_text(self._reasons, len(self.verdicts))
        return self._sentence

    def reasons(self) -> Mapping[Reason, int]:
        """How many nodes refuse, by reason."""
        return {reason: len(tally.nodes) for reason, tally in self._reasons.items()}

    def _rank(self, name: str, verdict: Verdict) -> _Rank:
        return (self.sign * verdict.score, verdict.busy, name)

    def _stands(self, rank: _Rank) -> bool:
        """Whether the node's answer is still the one that was ranked so."""
        verdict = self.verdicts.get(rank[2])
        return verdict is not None and verdict.fits and self._rank(rank[2], verdict) == rank

    def _push(self, rank: _Rank) -> None:
        heapq.heappush(self._heap, rank)
        if len(self._heap) > 4 * len(self.verdicts) + 64:
            fits = (self._rank(name, verdict) for name, verdict in self.verdicts.items() if verdict.fits)
            self._heap = list(fits)
            heapq.heapify(self._heap)

    def _count(self, name: str, refusals: Iterable[Refusal]) -> None:
        for refusal in refusals:
            tally = self._reasons.setdefault(refusal.reason, Tally())
            if name not in tally:
                insort(tally.nodes, name)
            tally.details[refusal.detail] += 1

    def _uncount(self, name: str, refusals: Iterable[Refusal]) -> None:
        for refusal in refusals:
            tally = self._reasons.get(refusal.reason)
            if tally is None:
                continue
            if name in tally:
                del tally.nodes[bisect_left(tally.nodes, name)]
            tally.details[refusal.detail] -= 1
            if not tally.nodes:
                del self._reasons[refusal.reason]
