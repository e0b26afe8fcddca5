"""Taking over from HAMi's own scheduler (``adopt: true``): what it has decided and not bound yet is its for a while.

Its Binding bears no precondition, so it may land long after we have started. Until then, at most for the time its lock
and its bind may take, the cards that its annotations name are reserved and the pod is not decided again.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from hami_operator.core import protocol
from hami_operator.core.decode import decode_pod
from hami_operator.core.model import Pod
from hami_operator.world import World

log = logging.getLogger(__name__)

#: HAMi v2.7.0: 30 s for the extender's bind, twice the five minutes of its node lock.
LEASE_SECONDS = 630.0


def held_until(world: World, pod: Pod) -> float | None:
    """Until when (unix seconds) the pod is left to the scheduler that annotated it; None when it is ours to decide."""
    node = pod.annotations.get(protocol.POD_NODE, "")
    decided = pod.annotations.get(protocol.POD_TIME, "")
    if not world.adopt or not node or not decided.isdecimal() or protocol.OWN_ALLOCATION in pod.annotations:
        return None
    until = int(decided) + LEASE_SECONDS
    return until if world.now() < until else None


def adopt(world: World, pod: Pod) -> float | None:
    """Reserve what another scheduler has decided for a pod that is not bound yet; until when, or None."""
    until = held_until(world, pod)
    ledger = world.cluster.ledger
    record = ledger.record(pod.key.uid)
    if until is not None and record is not None and not record.node:
        node = pod.annotations[protocol.POD_NODE]
        decoded = decode_pod(replace(pod, node_name=node), world.cluster.profiles)
        ledger.assume(pod, node, decoded.allocation)
        log.info("%s: decided for %s by another scheduler, left to it for %.0f s", pod.key, node, until - world.now())
    return until
