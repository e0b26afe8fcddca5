"""The pending pods: who is next, who waits for what. No I/O; time is an argument.

A pod is *ready* (to be decided now), *waiting* (it fits nowhere: looked at again when something changes that could
help), *resting* (the world failed us: tried again after a back-off) or *in flight* (its Binding is under way).
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass

from hami_operator.core.model import Pod

REST_FIRST_SECONDS = 1.0
REST_LONGEST_SECONDS = 60.0


@dataclass(slots=True)
class Pending:
    """A pod in the queue. ``tries`` counts failures of the world since the last decision that was carried out."""

    pod: Pod
    tries: int = 0


class Queue:
    """Priority descending, then age, then name. ``changed`` is set whenever a pod may have become ready."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._pods: dict[str, Pending] = {}
        self._ready: list[tuple[int, float, str, str]] = []
        self._waiting: set[str] = set()
        self._resting: dict[str, float] = {}
        self._in_flight: set[str] = set()

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
            self._waiting.discard(uid)
            self._push(uid)

    def remove(self, uid: str) -> None:
        """The pod is gone, bound, or not ours any more."""
        self._pods.pop(uid, None)
        self._waiting.discard(uid)
        self._resting.pop(uid, None)
        self._in_flight.discard(uid)

    def take(self, now: float) -> Pending | None:
        """The next pod to decide, now in flight; None when none is ready."""
        for uid in [uid for uid, until in self._resting.items() if until <= now]:
            del self._resting[uid]
            self._push(uid)
        while self._ready:
            uid = heapq.heappop(self._ready)[3]
            pending = self._pods.get(uid)
            if pending and uid not in self._in_flight and uid not in self._waiting and uid not in self._resting:
                self._in_flight.add(uid)
                return pending
        return None

    def wait(self, uid: str) -> None:
        """It fits nowhere: out of flight until something that could help wakes it."""
        if self._land(uid):
            self._waiting.add(uid)

    def rest(self, uid: str, now: float) -> None:
        """The world failed: out of flight, and ready again after a back-off that doubles."""
        if self._land(uid):
            pending = self._pods[uid]
            pause = min(REST_FIRST_SECONDS * 2**pending.tries, REST_LONGEST_SECONDS)
            pending.tries += 1
            self._resting[uid] = now + pause
            self.changed.set()

    def wake(self) -> None:
        """Something changed that could help: every waiting pod is ready again."""
        waiting, self._waiting = self._waiting, set()
        for uid in waiting:
            self._push(uid)

    def next_rest(self) -> float | None:
        """When the next resting pod becomes ready (unix seconds); None when none rests."""
        return min(self._resting.values(), default=None)

    def pods(self) -> list[Pod]:
        """All pods in the queue, as they were seen last."""
        return [pending.pod for pending in self._pods.values()]

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, uid: object) -> bool:
        return uid in self._pods

    def counts(self) -> dict[str, int]:
        """Pods by state, for metrics."""
        waiting, resting, flying = len(self._waiting), len(self._resting), len(self._in_flight)
        ready = len(self._pods) - waiting - resting - flying
        return {"ready": ready, "waiting": waiting, "resting": resting, "in_flight": flying}

    def _land(self, uid: str) -> bool:
        self._in_flight.discard(uid)
        return uid in self._pods

    def _push(self, uid: str) -> None:
        pod = self._pods[uid].pod
        heapq.heappush(self._ready, (-pod.priority, pod.created, str(pod.key), uid))
        self.changed.set()


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
