"""What became of an allocation on its node: a plugin that keeps failing is left alone for a while."""

from __future__ import annotations

import logging

from hami_operator.core import protocol
from hami_operator.core.model import Pod
from hami_operator.core.record import PodRecord
from hami_operator.world import World

log = logging.getLogger(__name__)

#: The kubelet's word for a pod whose devices it could not get (pkg/kubelet/lifecycle/predicate.go).
ADMISSION_ERROR = "UnexpectedAdmissionError"


def phase_of(pod: Pod) -> str | None:
    """The pod's ``hami.io/bind-phase``."""
    return pod.annotations.get(protocol.BIND_PHASE)


def follow_allocation(world: World, pod: Pod, before: PodRecord) -> None:
    """Take note of a failure or success of a pod that was bound and not over; ``before`` is what we knew of it."""
    cluster, node = world.cluster, before.node
    if phase_of(pod) == protocol.Phase.FAILED or (pod.phase == "Failed" and pod.status_reason == ADMISSION_ERROR):
        for family in before.allocation.families:
            until = cluster.failing.failed((node, family), pod.key.uid, world.now())
            if until is not None:
                log.warning("%s: %s could not be allocated on %s, which is left alone", pod.key, family, node)
                cluster.journal.note(node)
    elif phase_of(pod) == protocol.Phase.SUCCESS:
        bound = pod.annotations.get(protocol.BIND_TIME, "")
        for family in before.allocation.families:
            end_trouble(world, node, family, float(bound) if bound.isdecimal() else 0.0)


def end_trouble(world: World, node: str, family: str, since: float) -> None:
    """A success, or a new registration, at ``since``: the family is used there again."""
    if world.cluster.failing.ended((node, family), since):
        log.info("%s on %s allocates again", family, node)
        world.cluster.journal.note(node)
        world.queue.wake()


def retry_due(world: World) -> None:
    """Let nodes whose time is over be tried again."""
    places = world.cluster.failing.due(world.now())
    for node, _ in places:
        world.cluster.journal.note(node)
    if places:
        world.queue.wake()
