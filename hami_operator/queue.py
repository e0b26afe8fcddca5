"""The pending pods: who is next, who waits for what. No I/O; time is an argument.

A pod is *ready* (to be decided now), *waiting* (it fits nowhere: looked at again when something changes that could
help), *resting* (the world failed us: tried again after a back-off) or *in flight*: its Binding is under way, or
another scheduler has its turn (*asked*).

Waiting pods that ask the same form a group. A change wakes the first of each group that it could help; only when that
one is placed comes the next, since what does not fit the first does not fit the others. So ten thousand equal pods cost
one decision. Pods whom a quota refuses are in groups of their namespace, which no change of a node wakes.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass

from hami_operator.core.model import Pod, Rank
from hami_operator.core.schedule import Waits

REST_FIRST_SECONDS = 1.0
REST_LONGEST_SECONDS = 60.0


@dataclass(slots=True)
class Pending:
    """A pod in the queue.

    ``tries`` counts failures of the world since the last decision that was carried out; ``telling`` is the sentence
    that is being written to it; ``offered`` are the nodes on which another scheduler was refused (empty: everywhere;
    None: it was not).
    """

    pod: Pod
    tries: int = 0
    telling: str = ""
    offered: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a pod stands in the queue, to be shown.

    ``state`` is ready, waiting, resting, in_flight or asked (another scheduler decides); ``until`` is when one that
    rests is ready again (unix seconds).
    """

    pod: Pod
    state: str
    until: float | None = None


#: The pod's place, and its uid.
_Rank = tuple[Rank, str]


class Queue:
    """Who is next. ``changed`` is set whenever a pod may have become ready."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._pods: dict[str, Pending] = {}
        self._ready: list[_Rank] = []
        self._queued: dict[str, Rank] = {}
        self._groups: dict[Waits, list[_Rank]] = {}
        self._waiting: dict[str, Waits] = {}
        self._resting: dict[str, float] = {}
        self._in_flight: set[str] = set()
        self._asked: set[str] = set()

    def put(self, pod: Pod) -> None:
        """A pending pod was seen, for the first time or changed. One in flight keeps flying; its news is kept."""
        uid = pod.key.uid
        known = self._pods.get(uid)
        if known is None:
            self._pods[uid] = Pending(pod)
            self._push(uid)
            return
        same = _asks_the_same(known.pod, pod)
        known.pod = pod
        if not same and uid not in self._in_flight:
            self._leave_group(uid)
            self._push(uid)

    def answered(self, uid: str, offered: frozenset[str] | None) -> None:
        """Another scheduler has asked about the pod, and was refused on these nodes (see ``Pending.offered``)."""
        if uid in self._pods:
            self._pods[uid].offered = offered

    def remove(self, uid: str) -> None:
        """The pod is gone, bound, or not ours any more."""
        self._leave_group(uid)
        self._pods.pop(uid, None)
        self._resting.pop(uid, None)
        self._queued.pop(uid, None)
        self._alight(uid)

    def take(self, now: float) -> Pending | None:
        """The next pod to decide, now in flight; None when none is ready."""
        for uid in [uid for uid, until in self._resting.items() if until <= now]:
            del self._resting[uid]
            self._push(uid)
        while self._ready:
            rank, uid = heapq.heappop(self._ready)
            if self._queued.get(uid) != rank:
                continue
            del self._queued[uid]
            if uid in self._pods and uid not in self._in_flight and uid not in self._resting:
                self._in_flight.add(uid)
                return self._pods[uid]
        return None

    def hand_over(self, uid: str) -> None:
        """Another scheduler has its turn: in flight until that has it bound, or is refused."""
        if uid in self._pods:
            self._fly(uid)
            self._asked.add(uid)

    def placed(self, uid: str) -> None:
        """It fits somewhere and is in flight: the next of its group may fit as well."""
        if uid in self._pods:
            self._fly(uid)
            self._asked.discard(uid)
        group = self._waiting.pop(uid, None)
        if group is not None:
            self._wake_first(group)

    def wait(self, uid: str, waits: Waits) -> None:
        """It fits nowhere: out of flight until something that could help wakes it, with all who wait for the same.

        One that waits for something else than before no longer stands for its old group: the next one there is asked.
        """
        self._alight(uid)
        before = self._waiting.get(uid)
        if uid in self._pods and before != waits:
            self._waiting[uid] = waits
            heapq.heappush(self._groups.setdefault(waits, []), self._rank(uid))
            if before is not None:
                self._wake_first(before)

    def rest(self, uid: str, now: float) -> None:
        """The world failed: out of flight, and ready again after a back-off that doubles.

        One that was woken goes on standing for its group: what failed it would fail the others.
        """
        self._alight(uid)
        if uid in self._pods:
            pending = self._pods[uid]
            pause = min(REST_FIRST_SECONDS * 2**pending.tries, REST_LONGEST_SECONDS)
            pending.tries += 1
            self._resting[uid] = now + pause
            self.changed.set()

    def land(self, uid: str) -> None:
        """Nobody carries its decision out any more: out of flight, and ready at once."""
        if uid in self._in_flight:
            self._alight(uid)
            self._push(uid)

    def hold(self, uid: str, until: float) -> None:
        """It is not to be decided before a time (unix seconds): it rests until then."""
        if uid in self._pods and uid not in self._in_flight:
            self._leave_group(uid)
            self._resting[uid] = until
            self.changed.set()

    def wake(self) -> None:
        """Something changed on a node: the first of each group that this could help is ready again."""
        for group in [group for group in self._groups if group.nodes]:
            self._wake_first(group)

    def wake_namespace(self, namespace: str) -> None:
        """A quota of the namespace changed, or what it has left: the first of each group under it is ready again."""
        for group in [group for group in self._groups if group.namespace == namespace]:
            self._wake_first(group)

    def wake_all(self) -> None:
        """Every waiting pod is decided again, so that what it was told last is true again."""
        for uid in self._waiting:
            self._push(uid)

    def waits(self, uid: str) -> bool:
        """Whether the pod fits nowhere, as far as its last decision knows."""
        return uid in self._waiting and uid not in self._in_flight and uid not in self._resting

    def next_rest(self) -> float | None:
        """When the next resting pod becomes ready (unix seconds); None when none rests."""
        return min(self._resting.values(), default=None)

    def pods(self) -> list[Pod]:
        """All pods in the queue, as they were seen last."""
        return [pending.pod for pending in self._pods.values()]

    def standing(self, uid: str) -> Standing | None:
        """How the pod stands; None when it is not in the queue."""
        pending = self._pods.get(uid)
        if pending is None:
            return None
        if uid in self._in_flight:
            return Standing(pending.pod, "asked" if uid in self._asked else "in_flight")
        if uid in self._resting:
            return Standing(pending.pod, "resting", until=self._resting[uid])
        return Standing(pending.pod, "waiting" if uid in self._waiting else "ready")

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, uid: object) -> bool:
        return uid in self._pods

    def counts(self) -> dict[str, int]:
        """Pods by state, for metrics."""
        asked, resting = len(self._asked), len(self._resting)
        flying = len(self._in_flight) - asked
        waiting = len(self._waiting.keys() - self._in_flight - self._resting.keys())
        ready = len(self._pods) - waiting - resting - flying - asked
        return {"ready": ready, "waiting": waiting, "resting": resting, "in_flight": flying, "asked": asked}

    def _wake_first(self, group: Waits) -> None:
        ranks = self._groups.get(group, [])
        while ranks:
            uid = ranks[0][1]
            if self._waiting.get(uid) == group and uid not in self._in_flight and ranks[0] == self._rank(uid):
                self._push(uid)
                return
            heapq.heappop(ranks)
            if uid in self._in_flight and self._waiting.get(uid) == group:
                del self._waiting[uid]  # the next one stands for the group; this one joins it anew if it fits nowhere
        self._groups.pop(group, None)

    def _fly(self, uid: str) -> None:
        self._queued.pop(uid, None)
        self._resting.pop(uid, None)
        self._in_flight.add(uid)

    def _alight(self, uid: str) -> None:
        self._in_flight.discard(uid)
        self._asked.discard(uid)

    def _leave_group(self, uid: str) -> None:
        """It waits no more, without having been placed: where it was woken, the next of its group is in its place."""
        woken = uid in self._in_flight or uid in self._queued
        group = self._waiting.pop(uid, None)
        if group is not None and woken:
            self._wake_first(group)

    def _push(self, uid: str) -> None:
        """Ready; one that is ready already is decided once, however often it was woken."""
        rank = self._rank(uid)
        if self._queued.get(uid) != rank[0]:
            self._queued[uid] = rank[0]
            heapq.heappush(self._ready, rank)
        self.changed.set()

    def _rank(self, uid: str) -> _Rank:
        return self._pods[uid].pod.rank, uid


def _asks_the_same(a: Pod, b: Pod) -> bool:
    """Whether nothing changed that a decision looks at (our own condition and fence change the pod as well)."""
    return (a.containers, a.constraints, a.labels, a.priority, _foreign(a)) == (
        b.containers,
        b.constraints,
        b.labels,
        b.priority,
        _foreign(b),
    )


def _foreign(pod: Pod) -> dict[str, str]:
    return {key: value for key, value in pod.annotations.items() if not key.startswith("hami-operator.io/")}
