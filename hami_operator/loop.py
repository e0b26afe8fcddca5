"""The direct driver's scheduling cycle: take, decide, explain or reserve, bind, confirm or forget.

The only orchestration there is. Steps 1 to 3 run without a wait between them.
"""

from __future__ import annotations

import asyncio
import logging
import time

from hami_operator.core.model import Pod
from hami_operator.core.schedule import Unschedulable, schedule
from hami_operator.driver import Driver
from hami_operator.handlers.pods import on_pod_event
from hami_operator.kube.backoff import delays
from hami_operator.kube.errors import Conflict, KubeError, Unanswered
from hami_operator.queue import Pending

log = logging.getLogger(__name__)


class Loop(Driver):
    """Decides the pods one after the other and binds them: we are the scheduler."""

    def cycle(self, pending: Pending) -> None:
        """One pod, from the decision to the start of its binding."""
        world, pod = self._world, pending.pod
        # 1. Decide; a reservation of an earlier decision is replaced, never added to. 2. Explain what fits nowhere.
        world.cluster.ledger.forget(pod.key.uid)
        begin = time.perf_counter()
        decision = schedule(pod, world.cluster, world.now())
        self._telemetry.decision_seconds.observe(time.perf_counter() - begin)
        message = self.note(pod, decision)
        if isinstance(decision, Unschedulable):
            self._refuse(pending, decision)
            return
        # 3. Reserve, before any wait. 4. Carry it out beside the next decisions; 5. (there) confirm or forget.
        order = self.reserve(pod, decision, message)
        self.spawn(self.carry_out(pod, order))

    # -- refusing ------------------------------------------------------------------------------------------------

    def _refuse(self, pending: Pending, decision: Unschedulable) -> None:
        pod, message = pending.pod, decision.message
        self.wait(pod, decision)
        if pending.telling != message and self._voice.refused(pod, message):
            pending.telling = message
            self.spawn(self._explain(pending, message))

    async def _explain(self, pending: Pending, message: str) -> None:
        """Tell a pod why it waits, until it is told or there is something else to tell."""
        key, queue = pending.pod.key, self._world.queue
        pauses = delays()
        try:
            while not await self._marked(pending.pod, message):
                await asyncio.sleep(next(pauses))
                if pending.telling != message or not queue.waits(key.uid):
                    return
        finally:
            if pending.telling == message:
                pending.telling = ""

    async def _marked(self, pod: Pod, message: str) -> bool:
        """Write the condition; False when it is to be tried again, with the pod as it is by then."""
        try:
            answer = await self._voice.mark(pod, message)
        except (Conflict, Unanswered) as error:
            log.info("%s: its condition could not be written yet: %s", pod.key, error)
            return False
        except KubeError as error:
            log.info("%s: its condition can't be written: %s", pod.key, error)
        else:
            if answer is not None:
                on_pod_event(self._world, answer, gone=False)
        return True
