"""What both drivers do alike: go through the pods that are ready, and carry decisions out to a definite end.

Deciding and reserving happen without a wait between them; that is the lock. Carrying a decision out may take as long as
it wants, the reservation stands until the outcome is definite.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from hami_operator import decisionlog
from hami_operator.core.model import Pod
from hami_operator.core.schedule import Placement, Unschedulable
from hami_operator.diary import Decided
from hami_operator.handlers.allocations import retry_due
from hami_operator.handlers.pods import on_pod_event
from hami_operator.kube.binder import Binder, Bound, BoundElsewhere, Gone, Order, Outcome, Rejected, Why
from hami_operator.kube.errors import NotLeading
from hami_operator.orders import order_of
from hami_operator.queue import Pending
from hami_operator.telemetry import Telemetry
from hami_operator.voice import Voice
from hami_operator.world import World

log = logging.getLogger(__name__)

#: Seconds that bindings under way are given when a driver stops; those that are not done by then are fenced later.
DRAIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Actors:
    """What a driver works with: the state of the cluster, who binds, and who is told."""

    world: World
    binder: Binder
    voice: Voice
    telemetry: Telemetry


class Driver(abc.ABC):
    """The actor. One runs in the cluster at a time: the replica that holds the lease."""

    def __init__(self, actors: Actors) -> None:
        self._world = actors.world
        self._binder = actors.binder
        self._voice = actors.voice
        self._telemetry = actors.telemetry
        self._tasks: set[asyncio.Task[Any]] = set()
        self._end: BaseException | None = None

    async def run(self) -> None:
        """Go on for as long as we lead. Cancel it to stop deciding; ``drain`` then waits for what is under way.

        Returns when a write was refused for want of the lease. Even where the lease is back by now, what was left open
        then is to be fenced, which is done before one leads.
        """
        while self._end is None:
            await self._world.may_decide.wait()
            retry_due(self._world)
            pending = self._world.queue.take(self._world.now())
            if pending is None:
                await self._idle()
                continue
            self.cycle(pending)
            await asyncio.sleep(0)  # events come in between two decisions, never within one
        if not isinstance(self._end, NotLeading):
            raise self._end

    @abc.abstractmethod
    def cycle(self, pending: Pending) -> None:
        """One pod that has become ready, without a wait."""

    async def drain(self, seconds: float) -> None:
        """Wait for the bindings under way, for a limited time; those that are not done by then are broken off."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- deciding ------------------------------------------------------------------------------------------------

    def note(self, pod: Pod, decision: Placement | Unschedulable) -> str:
        """Remember and log the decision; returns its sentence."""
        cluster, diary, now = self._world.cluster, self._world.diary, self._world.now()
        message, uid = decision.message, pod.key.uid
        refused = decision.kept.reasons()
        node, fitting = (decision.node, decision.kept.fitting) if isinstance(decision, Placement) else ("", 0)
        shown = {reason.value: nodes for reason, nodes in refused.items()}
        diary.note(uid, Decided(now, node, message, fitting, len(cluster.inventory), shown, diary.tries(uid) + 1))
        decisionlog.tell(pod, decision, message, cluster, now)
        self._telemetry.decisions.labels("placed" if node else "unschedulable").inc()
        for reason, nodes in refused.items() if not node else ():
            self._telemetry.refusals.labels(reason).inc(nodes)
        return message

    def wait(self, pod: Pod, decision: Unschedulable) -> None:
        """The pod fits nowhere: it waits for a change that could help."""
        self._world.queue.wait(pod.key.uid, decision.waits)
        self._world.blocked.note(pod, decision.blocked)

    def reserve(self, pod: Pod, decision: Placement, message: str) -> Order:
        """Reserve a decision, before any wait; what the binder is to do about it."""
        world = self._world
        world.cluster.ledger.assume(pod, decision.node, decision.allocation)
        world.queue.placed(pod.key.uid)
        world.blocked.forget(pod.key)
        self._voice.placed(pod, message)
        order = order_of(world, pod, decision)
        if order.locks:
            world.cluster.set_busy(decision.node, locked=True)
        return order

    # -- carrying out --------------------------------------------------------------------------------------------

    async def carry_out(self, pod: Pod, order: Order) -> Outcome | None:
        """Bind, then confirm or forget; the outcome, or None when the lease was lost on the way."""
        begin = time.perf_counter()
        try:
            outcome = await self._binder.bind(order)
        except NotLeading as error:
            log.warning(
                "%s: the lease was lost while it was bound; the next leader finds out what became of it", pod.key
            )
            self._stop(error)
            return None
        self._telemetry.bind_seconds.observe(time.perf_counter() - begin)
        self._telemetry.binds.labels(type(outcome).__name__).inc()
        self._settle(pod, outcome)
        return outcome

    def _settle(self, pod: Pod, outcome: Outcome) -> None:
        """Confirm or forget, in the same step that learns the outcome."""
        world, uid = self._world, pod.key.uid
        ledger, queue = world.cluster.ledger, world.queue
        found = outcome.pod if isinstance(outcome, Bound | BoundElsewhere | Rejected) else None
        if isinstance(outcome, Bound):
            ledger.confirm(uid)
            queue.remove(uid)
            self._voice.bound(pod, outcome.node)
        else:
            freed = ledger.forget(uid).freed
            self._telemetry.decisions.labels("undone").inc()
            if isinstance(outcome, Rejected):
                self._reject(pod, outcome)
            elif isinstance(outcome, Gone):
                queue.remove(uid)
            if freed:
                world.freed(pod.key.namespace)
        if found is not None:
            on_pod_event(world, found, gone=False)

    def _reject(self, pod: Pod, outcome: Rejected) -> None:
        log.info("%s: not bound: %s: %s", pod.key, outcome.why.value, outcome.message)
        self._world.queue.rest(pod.key.uid, self._world.now())
        if outcome.why is not Why.CHANGED:
            self._voice.not_bound(pod, outcome.why, outcome.message)

    # -- waiting -------------------------------------------------------------------------------------------------

    async def _idle(self) -> None:
        """Wait until a pod may have become ready."""
        queue = self._world.queue
        queue.changed.clear()
        alarms = [at for at in (queue.next_rest(), self._world.cluster.failing.next_due()) if at is not None]
        pause = max(min(alarms) - self._world.now(), 0.001) if alarms else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(queue.changed.wait(), pause)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start work that ``drain`` waits for. An error in it is a bug or a lost lease, and ends the driver."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stop(error)

    def _stop(self, error: BaseException) -> None:
        self._end = error
        self._world.queue.changed.set()
