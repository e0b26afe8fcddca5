"""The extender driver: kube-scheduler queues pods and judges nodes; we judge cards, choose them and bind.

``filter``, ``prioritize`` and ``preempt`` answer from the cluster as it is and reserve nothing. ``bind`` chooses the
cards of the node that kube-scheduler has chosen, reserves them in the same step, and carries that out. What fits
nowhere waits in our queue as it does with the direct driver; when it would fit, kube-scheduler is told to look again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hami_operator.core.answers import (
    UNKNOWN,
    choose,
    decide,
    fits_without,
    marks,
    takes,
    try_on,
    unfit_among,
    verdicts,
    waits_among,
)
from hami_operator.core.errors import ObjectError
from hami_operator.core.model import Node, Pod, PodKey
from hami_operator.core.objects import read_pod
from hami_operator.core.reasons import Refusal, unfit_text
from hami_operator.core.schedule import Placement, Unschedulable, schedule
from hami_operator.driver import Actors, Driver
from hami_operator.handlers.pods import on_pod_gone
from hami_operator.kube.binder import Bound, BoundElsewhere, Gone, Outcome
from hami_operator.kube.client import Client, Json
from hami_operator.kube.errors import KubeError, NotFound, NotLeading, Unanswered
from hami_operator.kube.fence import PodAbsent, PodOnNode, look
from hami_operator.kube.nudge import nudge
from hami_operator.queue import Pending

log = logging.getLogger(__name__)

#: Sets of nodes that are remembered to be shared, of all those that kube-scheduler offers to pods.
OFFERS_KEPT = 256

LEASE_LOST = "this replica has ceased to lead"


class NotNow(Exception):
    """The question can't be answered at present, or not by us; the text says why. kube-scheduler will ask again."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """Nodes that take a pod, in the order in which they were named, and why each of the others does not."""

    fitting: list[str]
    refused: dict[str, str]


@dataclass(frozen=True, slots=True)
class Flight:
    """A pod that is being bound."""

    node: str
    task: asyncio.Task[str]


class Extender(Driver):
    """Answers kube-scheduler. ``client`` is guarded by the lease; ``sensed`` takes pods that were read here.

    The sensor has to know every pod that holds cards, or its end could be missed: kube-scheduler may have heard of a
    pod before us, and no news of it may ever come.
    """

    def __init__(self, actors: Actors, client: Client, sensed: Callable[[Json], None]) -> None:
        super().__init__(actors)
        self._client = client
        self._sensed = sensed
        self._flights: dict[str, Flight] = {}
        self._offers: dict[frozenset[str], frozenset[str]] = {}

    # -- questions -----------------------------------------------------------------------------------------------

    def filter(self, pod: Pod, names: Sequence[str]) -> Filtered:
        """Which of these nodes take the pod. Raises NotNow."""
        self._check(pod)
        begin = time.perf_counter()
        decision, found = decide(pod, self._world.cluster, self._world.now())
        self._telemetry.decision_seconds.observe(time.perf_counter() - begin)
        answers = {name: found.get(name, UNKNOWN) for name in names}
        if isinstance(decision, Unschedulable):
            self._refuse(pod, decision, frozenset())
        elif names and not takes(found, names):  # kube-scheduler rules out those that would: one is cordoned, say
            offered = self._shared(names)
            self._refuse(pod, unfit_among(pod, decision, found, offered), offered)
        else:  # whether it is placed, kube-scheduler decides, and says why where it is not
            self._world.queue.answered(pod.key.uid, None)
            self._world.queue.placed(pod.key.uid)
            self._world.queue.hand_over(pod.key.uid)
            self._world.diary.forget(pod.key.uid)
        return Filtered(
            [name for name, verdict in answers.items() if verdict.fits],
            {name: unfit_text(verdict.refusals) for name, verdict in answers.items() if not verdict.fits},
        )

    def try_on(self, pod: Pod, nodes: Iterable[Node]) -> Filtered:
        """Which of these nodes, as they are given, would take the pod: a simulation that leaves no trace."""
        answers = try_on(pod, nodes, self._world.cluster, self._world.now())
        return Filtered(
            [name for name, refusals in answers.items() if not refusals],
            {name: unfit_text(refusals) for name, refusals in answers.items() if refusals},
        )

    def prioritize(self, pod: Pod, names: Sequence[str]) -> dict[str, int]:
        """How good each of these nodes is, 0 to 10 (``core.answers.marks``). Raises NotNow."""
        self._check(pod)
        decision, found = decide(pod, self._world.cluster, self._world.now())
        if isinstance(decision, Unschedulable):
            return dict.fromkeys(names, 0)
        return marks(found, names, decision.kept.sign)

    def preempt(self, pod: Pod, victims: Mapping[str, Sequence[str]]) -> list[str]:
        """Nodes on which the pod gets its cards once these pods, by their uids, have gone. Raises NotNow.

        kube-scheduler, which does not see cards, chooses whom to end; whom it would help nothing to end is spared.
        """
        self._check(pod)
        cluster, now = self._world.cluster, self._world.now()
        return [node for node, uids in victims.items() if fits_without(pod, node, uids, cluster, now)]

    def _check(self, pod: Pod) -> None:
        """Whether the pod is one to answer about. Raises NotNow."""
        world, uid = self._world, pod.key.uid
        if not world.may_decide.is_set():
            raise NotNow("the device configuration has changed and is being put in force")
        if pod.scheduler_name != world.scheduler_name:
            raise NotNow(
                f"spec.schedulerName of {pod.key} is {pod.scheduler_name!r}: we serve {world.scheduler_name!r}"
            )
        if flight := self._flights.get(uid):
            raise NotNow(f"{pod.key} is being bound to node {flight.node}")
        record, standing = world.cluster.ledger.record(uid), world.queue.standing(uid)
        if record is not None and record.node and not record.assumed:
            raise NotNow(f"{pod.key} is on node {record.node} already")
        if record is not None and record.assumed and standing is not None and standing.state == "resting":
            raise NotNow(f"{pod.key} was decided for node {record.node} by another scheduler, whose Binding may land")

    def _shared(self, names: Sequence[str]) -> frozenset[str]:
        """These nodes, as one object for all pods to which they are offered: there may be thousands of either."""
        if len(self._offers) >= OFFERS_KEPT:
            self._offers.clear()
        offered = frozenset(names)
        return self._offers.setdefault(offered, offered)

    def _refuse(self, pod: Pod, decision: Unschedulable, offered: frozenset[str]) -> None:
        queue, uid = self._world.queue, pod.key.uid
        if uid not in queue and not self._world.cluster.ledger.observe(pod, self._world.now()).stale:
            queue.put(pod)  # kube-scheduler has heard of it before us
        queue.answered(uid, offered)
        last = self._world.diary.last(uid)
        message = self.note(pod, decision)
        self.wait(pod, decision)
        if last is None or last.node or last.message != message:
            self._voice.refused(pod, message)

    # -- binding -------------------------------------------------------------------------------------------------

    async def bind(self, key: PodKey, node: str) -> str:
        """Bind the pod to the node that was chosen for it; empty when it is bound, else why not.

        Who asks again while it is under way, since the answer was long in coming, waits for the same.
        """
        flight = self._flights.get(key.uid)
        if flight is None:
            flight = self._flights[key.uid] = Flight(node, self.spawn(self._bind(key, node)))
            flight.task.add_done_callback(lambda _: self._flights.pop(key.uid, None))
        elif flight.node != node:
            return f"{key} is being bound to node {flight.node}"
        await asyncio.wait({flight.task})  # our work goes on if who asked goes away
        return LEASE_LOST if flight.task.cancelled() else flight.task.result()

    async def _bind(self, key: PodKey, node: str) -> str:
        world = self._world
        try:
            found = await look(self._client, key)
        except KubeError as error:
            return str(error)
        if isinstance(found, PodAbsent) or (not isinstance(found, PodOnNode) and found.deleting):
            return f"pod {key} is gone"
        if isinstance(found, PodOnNode):
            return "" if found.node == node else f"pod {key} is on node {found.node} already"
        try:
            pod = read_pod(found.pod)
        except ObjectError as error:
            return f"pod {key}: {error}"
        self._sensed(found.pod)
        await world.may_decide.wait()
        world.cluster.ledger.forget(key.uid)
        decision = choose(pod, node, world.cluster, world.now())
        if not isinstance(decision, Placement):
            return self._changed(pod, node, decision)
        message = self.note(pod, decision)
        order = self.reserve(pod, decision, message)
        return _why_not(pod, await self.carry_out(pod, order))

    @staticmethod
    def _changed(pod: Pod, node: str, refusals: Iterable[Refusal]) -> str:
        """Another pod was bound between the two calls: kube-scheduler is to choose again."""
        log.info("%s: not bound: node %s takes it no more: %s", pod.key, node, text := unfit_text(refusals))
        return f"node {node} takes {pod.key} no more: {text}"

    # -- waiting pods --------------------------------------------------------------------------------------------

    def cycle(self, pending: Pending) -> None:
        """One pod that something has changed for. Its turn is kube-scheduler's, which may have given it up for now."""
        world, pod = self._world, pending.pod
        if pod.key.uid in self._flights:
            return
        world.cluster.ledger.forget(pod.key.uid)
        decision = schedule(pod, world.cluster, world.now())
        if isinstance(decision, Unschedulable):
            self.wait(pod, decision)
            return
        offered = pending.offered
        if offered and not takes(verdicts(pod, decision, world.cluster, world.now()), offered):
            world.queue.wait(pod.key.uid, waits_among(pod, decision, offered))
            return
        world.queue.hand_over(pod.key.uid)
        if offered is not None:
            self.spawn(self._nudge(pod))

    async def _nudge(self, pod: Pod) -> None:
        try:
            await nudge(self._client, pod.key, self._world.now())
        except NotLeading:  # ends us
            raise
        except NotFound:
            on_pod_gone(self._world, pod.key)
        except Unanswered as error:
            log.info("%s: kube-scheduler could not be told to look again yet: %s", pod.key, error)
            self._world.queue.rest(pod.key.uid, self._world.now())
        except KubeError as error:
            log.info("%s: kube-scheduler can't be told to look again: %s", pod.key, error)


def _why_not(pod: Pod, outcome: Outcome | None) -> str:
    """The answer to kube-scheduler: empty when the pod is bound."""
    if outcome is None:
        return LEASE_LOST
    if isinstance(outcome, Bound):
        return ""
    if isinstance(outcome, Gone):
        return f"pod {pod.key} is gone"
    if isinstance(outcome, BoundElsewhere):
        return f"pod {pod.key} was bound to node {outcome.node} by somebody else"
    return outcome.message
