"""Pods: who holds what goes to the ledger, who waits for us goes to the queue."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hami_operator.core.errors import ObjectError
from hami_operator.core.ledger import Change
from hami_operator.core.model import Pod, PodKey
from hami_operator.core.objects import read_pod
from hami_operator.world import Problem, World

from .adoption import adopt
from .allocations import follow_allocation, tell_locks

log = logging.getLogger(__name__)


def on_pod_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """A pod was added, changed, listed or (``gone``) deleted."""
    try:
        pod = read_pod(obj)
    except ObjectError as error:
        log.warning("pod not read: %s", error)
        return
    if gone:
        on_pod_gone(world, pod.key)
        return
    before = world.cluster.ledger.record(pod.key.uid)
    change = world.cluster.ledger.observe(pod, world.now())
    if change.stale:
        return
    if before is not None and before.node and not before.terminal:
        follow_allocation(world, pod, before)
    if is_pending(pod, world.scheduler_name):
        world.queue.put(pod)
        until = adopt(world, pod)
        if until is not None:
            world.queue.hold(pod.key.uid, until)
    else:
        _leave(world, pod.key)
    _follow(world, pod, change)
    tell_locks(world, pod)


def on_pod_gone(world: World, key: PodKey) -> None:
    """A pod went, as an event or the periodic resync tells."""
    change = world.cluster.ledger.gone(key.uid, world.now())
    world.cluster.failing.forget_pod(key.uid)
    _leave(world, key)
    world.pod_ended(key)
    if change.freed:
        world.freed(key.namespace)


def on_pod_fenced(world: World, key: PodKey, obj: Mapping[str, Any] | None) -> None:
    """No old Binding of this pod can land any more, and this is how it stands (None: it is gone).

    What we reserved for it, when it was ours to bind, is settled by that.
    """
    freed = world.cluster.ledger.forget(key.uid).freed
    world.queue.land(key.uid)
    if obj is None:
        on_pod_gone(world, key)
    else:
        on_pod_event(world, obj, gone=False)
    if freed:
        world.freed(key.namespace)


def _leave(world: World, key: PodKey) -> None:
    if key.uid in world.queue:
        world.queue.remove(key.uid)
        world.blocked.forget(key)
        world.pod_left(key.uid)


def is_pending(pod: Pod, scheduler_name: str) -> bool:
    """Whether this pod waits for us to be placed."""
    return (
        pod.scheduler_name == scheduler_name
        and not pod.node_name
        and pod.phase == "Pending"
        and not pod.deleting
        and not pod.constraints.gates
    )


def _follow(world: World, pod: Pod, change: Change) -> None:
    """Wake those that a change could help, and tell what could not be read."""
    if change.freed:
        world.freed(pod.key.namespace)
    for family, text in change.problems.items():
        message = f"{family}: {text}; its node takes no new {family} pods until this is mended or the pod is gone"
        key = pod.key
        world.report(Problem("Pod", key.name, key.namespace, key.uid, "AllocationUnreadable", message))
