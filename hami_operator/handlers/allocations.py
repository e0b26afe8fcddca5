"""What became of an allocation on its node: a plugin that keeps failing is left alone for a while."""

from __future__ import annotations

import logging

from hami_operator.core import protocol
from hami_operator.core.model import Pod
from hami_operator.core.record import PodRecord
from hami_operator.core.vendor import Profile
from hami_operator.kube.takeover import RUNNING
from hami_operator.kube.turns import Unserved, waits_for_plugins
from hami_operator.world import World

log = logging.getLogger(__name__)

#: The kubelet's word for a pod whose devices it could not get (pkg/kubelet/lifecycle/predicate.go).
ADMISSION_ERROR = "UnexpectedAdmissionError"


def follow_allocation(world: World, pod: Pod, before: PodRecord) -> None:
    """Take note of a failure or success of a pod that was bound and not over; ``before`` is what we knew of it."""
    refused = pod.phase == "Failed" and pod.status_reason == ADMISSION_ERROR
    bound = pod.annotations.get(protocol.BIND_TIME, "")
    for profile in _families(world, before):
        told = profile.told(pod.annotations)
        if refused or told is protocol.Phase.FAILED:
            _note_failure(world, pod, before.node, profile.key)
        elif told is protocol.Phase.SUCCESS:
            end_trouble(world, before.node, profile.key, float(bound) if bound.isdecimal() else 0.0)


def _note_failure(world: World, pod: Pod, node: str, family: str) -> None:
    if world.cluster.failing.failed((node, family), pod.key.uid, world.now()) is not None:
        log.warning("%s: %s could not be allocated on %s, which is left alone", pod.key, family, node)
        world.cluster.journal.note(node)


def _families(world: World, record: PodRecord) -> list[Profile]:
    return [profile for profile in world.cluster.profiles if profile.key in record.allocation.families]


def tell_locks(world: World, pod: Pod) -> None:
    """Tell those who keep node locks how far the pod is with those that it may hold."""
    if pod.terminal or pod.annotations.get(protocol.BIND_PHASE) == protocol.Phase.FAILED:
        world.pod_ended(pod.key)
        return
    record = world.cluster.ledger.record(pod.key.uid)
    if record is None or not pod.node_name:
        return
    lists = []
    for profile in _families(world, record):
        if profile.lock_key == protocol.NODE_LOCK:
            lists.append(profile.to_allocate_key)
        elif profile.told(pod.annotations) is protocol.Phase.FAILED:
            world.pod_ended(pod.key)
        elif profile.served_key and _behind(pod, profile):
            world.pod_served(pod.key)
    if len(lists) > 1 and pod.scheduler_name == world.scheduler_name:
        _follow_turns(world, pod, Unserved(pod.key, pod.node_name, tuple(lists)))


def _behind(pod: Pod, profile: Profile) -> bool:
    """Whether a plugin that guesses its pods is done with this one. It guesses among pending pods alone."""
    return pod.phase == RUNNING or profile.told(pod.annotations) is protocol.Phase.SUCCESS


def _follow_turns(world: World, pod: Pod, unserved: Unserved) -> None:
    """A pod of several families under the one node lock, which each plugin takes away when it has served the pod."""
    if pod.phase == RUNNING:
        world.lock_over(pod.key, pod.node_name)
    elif waits_for_plugins(pod.phase, pod.annotations, unserved.lists):
        world.lock_again(unserved)


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
