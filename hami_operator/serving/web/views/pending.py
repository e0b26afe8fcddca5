"""``/pending``: who waits, and why, as counts of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hami_operator.core.model import Pod
from hami_operator.core.vendor import Profile
from hami_operator.serving.sight import Sight

from .paging import Page, Query, paged


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A pod in the queue. ``state`` is ready, waiting, resting, in_flight or asked. Times are unix seconds.

    ``asks`` is what its containers want: (container, resource, amount). ``tried`` is when it was decided last (None:
    not yet), ``next`` when it is surely tried again (None: as soon as something changes that could help).
    """

    namespace: str
    name: str
    state: str
    priority: int
    created: float
    asks: list[tuple[str, str, str]]
    message: str
    reasons: list[tuple[str, int]]
    nodes: int
    tries: int
    tried: float | None
    next: float | None


def pending(sight: Sight, query: Query) -> Page[PendingRow]:
    """All pods in the queue: highest priority first, then the oldest."""
    pods = {
        f"{pod.key} {pod.key.uid}": pod
        for pod in sorted(sight.world.queue.pods(), key=lambda pod: (-pod.priority, pod.created, str(pod.key)))
    }
    return paged(pods, query, lambda name: pending_row(sight, pods[name]))


def pending_row(sight: Sight, pod: Pod) -> PendingRow:
    """One pod as it stands in the queue."""
    uid, world = pod.key.uid, sight.world
    standing, last = world.queue.standing(uid), world.diary.last(uid)
    reasons = sorted(sight.reasons(uid).items(), key=lambda item: (-item[1], item[0]))
    return PendingRow(
        namespace=pod.key.namespace,
        name=pod.key.name,
        state=standing.state if standing is not None else "ready",
        priority=pod.priority,
        created=pod.created,
        asks=_asks(pod, world.cluster.profiles),
        message=last.message if last is not None else (pod.unscheduled or ("", ""))[1],
        reasons=reasons,
        nodes=last.nodes if last is not None else 0,
        tries=last.tries if last is not None else 0,
        tried=last.at if last is not None else None,
        next=standing.until if standing is not None else None,
    )


def _asks(pod: Pod, profiles: Sequence[Profile]) -> list[tuple[str, str, str]]:
    """What stands in the containers under names of the families in force."""
    names = [name for profile in profiles for name in profile.names.all()]
    return [
        (container.name, name, amounts[name])
        for container in pod.containers
        for amounts in ({**container.requests, **container.limits},)
        for name in dict.fromkeys(names)
        if name in amounts
    ]
