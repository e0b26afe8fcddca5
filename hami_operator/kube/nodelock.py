"""Node locks: which pod the node's device plugin serves next. ``hami.io/mutex.lock`` is the one of HAMi's plugins.

The lock is taken and released by JSON patch with a ``test`` on that key alone, so other writers of the node never
interfere. Pods that want the same node wait in a queue; only the first looks at the lock, and it is woken by news of
the node, not by a clock. The wire format is HAMi's (v2.7.0 pkg/util/nodelock/nodelock.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

from hami_operator.core.model import Node, PodKey
from hami_operator.core.protocol import NODE_LOCK

from . import paths
from .background import Background, quietly
from .backoff import delays, until_answered
from .client import METADATA_ONLY, Client, Json
from .errors import Conflict, Invalid, NotFound, Unanswered
from .lockbook import UNKNOWN, LockBook, LockNews, LockSettings, LockState, Turn, Waiter, go_duration
from .lockjudge import LockJudge
from .takeover import GONE_SECONDS, Marks, Wait

log = logging.getLogger(__name__)

_DEFAULTS = LockSettings()

#: How often the lock is tried at once while others write the node but not the lock.
SWAPS = 5


def _silent(_: LockNews) -> None:
    return


class NodeLocks:
    """All node locks. Feed it with ``node_seen``, ``node_gone`` and ``pod_ended``; none of them waits.

    ``in_hand`` holds the uids of the pods that are being bound; the binder keeps it.
    """

    def __init__(
        self,
        client: Client,
        settings: LockSettings = _DEFAULTS,
        tell: Callable[[LockNews], None] = _silent,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.in_hand: set[str] = set()
        self._client = client
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._book = LockBook([NODE_LOCK])
        self._judge = LockJudge(client, settings, clock, self.in_hand)
        self._background = Background()

    def know(self, marks: Mapping[str, Marks]) -> None:
        """The locks there are, by key, and how the plugins behind them tell how far they are. Before nodes are seen."""
        self._book.know(marks)
        self._judge.marks.update(marks)

    # -- news ----------------------------------------------------------------------------------------------------

    def node_seen(self, node: Node) -> None:
        """A node as a watch or list has it; older news than what we know is ignored."""
        self._book.learn(node.name, node.annotations, node.resource_version, self._clock())

    def node_gone(self, name: str) -> None:
        """The node was deleted: whoever waits for it finds out."""
        self._book.forget(name)

    def pod_ended(self, pod: PodKey) -> None:
        """The pod is gone or terminal, or its plugin failed or served it: a lock that it has no use for is released."""
        for state in self._book.locked():
            if state.may_be_of(pod):
                self._background.spawn(self._clear(state))

    def abandon(self, uid: str) -> None:
        """The pod needs no lock any more: ``take`` returns ABANDONED if it is still waiting."""
        for state in self._book.queues():
            for waiter in state.queue:
                if waiter.pod.uid == uid:
                    waiter.abandoned = True
                    waiter.wake.set()

    def busy(self, node: str) -> bool:
        """Whether the node is locked or waited for, as far as we know."""
        return self._book.busy(node)

    def waiting(self) -> dict[str, int]:
        """How many pods wait, by node; nodes without waiters are left out."""
        waiting: Counter[str] = Counter()
        for state in self._book.queues():
            waiting[state.node] += len(state.queue)
        return dict(waiting)

    def at_work(self) -> bool:
        """Whether some pod is being bound that does not merely wait for a lock."""
        idle = {waiter.pod.uid for state in self._book.queues() for waiter in state.queue if waiter.told}
        return not self.in_hand <= idle

    def held(self) -> list[LockState]:
        """The locks that stand, by name of node; not to be changed by the caller."""
        return self._book.locked()

    def busy_text(self, node: str, key: str = NODE_LOCK) -> str:
        """HAMi's sentence: ``node n1 has been locked within 5m0s``."""
        return f"node {node} has been locked within {go_duration(self._settings.timeout_of(key))}"

    # -- taking --------------------------------------------------------------------------------------------------

    async def take(self, node: str, pod: PodKey, patience_s: float, key: str = NODE_LOCK) -> Turn:
        """Take the lock ``key`` of ``node`` for ``pod``, waiting for at most ``patience_s`` seconds (inf: for ever).

        Re-entrant for the same pod: the time is refreshed.

        Raises:
            Refused: we are not allowed to patch the node.
            NotLeading: the lease was lost.
        """
        state, waiter = self._book.state(node, key), Waiter(pod)
        state.queue.append(waiter)
        return await self._queue(state, waiter, patience_s)

    async def take_again(self, node: str, pod: PodKey, patience_s: float, key: str = NODE_LOCK) -> Turn:
        """As ``take``, for a pod that holds the lock until its plugin takes it away: then it is the next to get it."""
        state, waiter = self._book.state(node, key), Waiter(pod, again=True)
        state.queue.insert(0, waiter)
        return await self._queue(state, waiter, patience_s)

    async def _queue(self, state: LockState, waiter: Waiter, patience_s: float) -> Turn:
        """Wait in the queue that the waiter stands in, and leave it."""
        node, pod, turn = state.node, waiter.pod, Turn.ABANDONED
        try:
            turn = await self._wait_turn(state, waiter, patience_s)
        finally:
            state.queue.remove(waiter)
            state.wake_first()
        if turn is Turn.NODE_GONE:
            self._book.forget(node)
        elif turn is not Turn.TAKEN:
            if waiter.unsure and not waiter.again:
                await self.release(node, pod, state.key)
            if waiter.again or not state.queue:  # news that the holder has ended was left to those who wait
                self._background.spawn(self._clear(state))
        return turn

    async def _wait_turn(self, state: LockState, waiter: Waiter, patience_s: float) -> Turn:
        deadline = time.monotonic() + patience_s
        waiter.told, pauses = waiter.again, delays()
        while not waiter.abandoned:
            waiter.wake.clear()
            pause = math.inf
            if state.queue[0] is waiter:
                try:
                    verdict = await self._attempt(state, waiter)
                except NotFound:
                    return Turn.NODE_GONE
                except Unanswered as error:
                    waiter.unsure, verdict = True, Wait(max(next(pauses), error.retry_after))
                    state.doubt()
                if verdict is None:
                    return Turn.TAKEN
                pause = min(verdict.seconds, self._settings.poll_s)
            if not waiter.told and pause > 0:
                waiter.told = True
                self._tell(LockNews(state.node, waiter.pod, self.busy_text(state.node, state.key), forced=False))
            left = deadline - time.monotonic()
            if left <= 0:
                return Turn.BUSY
            if not await _woken(waiter.wake, min(pause, left)):
                state.doubt()
        return Turn.ABANDONED

    async def _attempt(self, state: LockState, waiter: Waiter) -> Wait | None:
        """One try of the first in the queue; None when the lock is taken. Raises KubeError."""
        if state.version == UNKNOWN:
            await self._look(state)
        pod = waiter.pod
        if waiter.again and not waiter.unsure and state.may_be_of(pod):
            return Wait(math.inf)
        if state.value is not None:
            verdict = await self._judge.verdict(state, pod)
            if isinstance(verdict, Wait):
                return verdict
            if verdict.fence and not await self._judge.fenced(state):
                return Wait(0)
            if verdict.warn:
                text = f"node {state.node}: the lock {state.value!r} is taken by force: {verdict.holder.value}"
                self._tell(LockNews(state.node, pod, text, forced=True))
        if not await self._swap(state, state.value_for(pod, self._clock())):
            return Wait(0)
        state.holder = pod
        return None

    # -- releasing -----------------------------------------------------------------------------------------------

    async def release(self, node: str, pod: PodKey, key: str = NODE_LOCK) -> None:
        """Release the lock ``key`` of ``node`` if exactly this pod holds it. Tries until there is a definite answer.

        Raises:
            Refused: we are not allowed to patch the node.
            NotLeading: the lease was lost; the next leader takes the lock over.
        """
        state = self._book.state(node, key)
        if state.holder != pod:
            state.doubt()
        with contextlib.suppress(NotFound):
            await until_answered(lambda: self._release(node, pod, key))

    async def _release(self, node: str, pod: PodKey, key: str) -> None:
        while True:
            state = self._book.state(node, key)  # by name: a node that is re-created meanwhile has a new one
            if state.version == UNKNOWN:
                await self._look(state)
            if not state.may_be_of(pod) or await self._swap(state, None):
                return

    async def sweep(self) -> None:
        """Remove every lock that a waiter could take over at once. For a new leader, and at each resync.

        What can't be removed is logged and left to the next sweep.
        """
        for state in self._book.locked():
            await quietly(self._clear(state))

    async def _clear(self, state: LockState) -> None:
        """Remove the node's lock if it may be taken and nobody waits (a waiter takes it instead)."""
        if state.queue:
            state.holder = None
            state.wake_first()
            return
        async with state.clearing:  # several news of one pod
            pause = await self._cleared(state)
            if pause <= GONE_SECONDS:
                self._background.spawn(self._clear_later(state, pause))

    async def _cleared(self, state: LockState) -> float:
        try:
            return await until_answered(lambda: self._clear_once(state))
        except NotFound:
            return math.inf

    async def _clear_later(self, state: LockState, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        await self._clear(state)

    async def _clear_once(self, state: LockState) -> float:
        """Remove the lock if it may be; the seconds until that may have changed (inf: not by the passing of time)."""
        value = state.value
        if value is None:
            return math.inf
        verdict = await self._judge.verdict(state, None)
        if isinstance(verdict, Wait):
            return verdict.seconds
        if verdict.fence and not await self._judge.fenced(state):
            return math.inf
        if state.value == value and await self._swap(state, None):
            log.info("node %s: lock %r removed: %s", state.node, value, verdict.holder.value)
        return math.inf

    # -- the annotation ------------------------------------------------------------------------------------------

    async def _swap(self, state: LockState, value: str | None) -> bool:
        """Compare-and-set from ``state.value`` to ``value`` (None: no lock); False when the lock was another one."""
        expected = state.value
        for tries_left in reversed(range(SWAPS)):
            operations = state.operations(value)
            try:
                answer = await self._client.json_patch(paths.node(state.node), operations, METADATA_ONLY)
            except (Invalid, Conflict) as error:
                if isinstance(error, Invalid) and not (error.test_failed and tries_left):
                    raise
                state.doubt()
                await self._look(state)
                if state.value != expected:
                    return False
                # The lock is what we thought: another writer of the node was in between.
            else:
                self._learn(state, answer)
                return True
        raise Unanswered(f"node {state.node} is written to so often that its lock can't be changed")

    async def _look(self, state: LockState) -> None:
        self._learn(state, await self._client.get(paths.node(state.node), accept=METADATA_ONLY))

    def _learn(self, state: LockState, answer: Json) -> None:
        metadata = answer["metadata"]
        self._book.learn(state.node, metadata.get("annotations") or {}, metadata["resourceVersion"], self._clock())

    async def close(self) -> None:
        """Stop the work that news has started."""
        await self._background.close()


async def _woken(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for the event; False when the time is over first."""
    try:
        await asyncio.wait_for(event.wait(), None if math.isinf(timeout_s) else timeout_s)
    except TimeoutError:
        return False
    return True
