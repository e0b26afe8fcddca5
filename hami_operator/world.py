"""What the sensors feed and the loop acts on: one object for the state of the cluster as we know it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Node, Pod, PodKey, SelectorTerm
from hami_operator.core.node_fit import Claim
from hami_operator.core.quotareport import Waiting
from hami_operator.core.schedule import Blocked
from hami_operator.diary import Diary
from hami_operator.kube.turns import Unserved
from hami_operator.queue import Queue


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person should know about an object: to become an event and a log line."""

    kind: str
    name: str
    namespace: str
    uid: str
    reason: str
    message: str


@dataclass(slots=True)
class Volumes:
    """What we know of volumes: the volume of each claim (empty: unbound), the node terms of each volume."""

    claims: dict[tuple[str, str], str] = field(default_factory=dict)
    terms: dict[str, tuple[SelectorTerm, ...] | None] = field(default_factory=dict)

    def claim(self, key: tuple[str, str]) -> Claim | None:
        """What is known of a claim, by (namespace, name); it is bound once its volume is known as well."""
        volume = self.claims.get(key)
        return None if volume is None else Claim(bound=volume in self.terms, terms=self.terms.get(volume))


class BlockedPods:
    """Pods that wait because of a quota, by namespace; ``touched`` as the ledger's."""

    def __init__(self) -> None:
        self.touched: set[str] = set()
        self._pods: dict[str, dict[PodKey, Waiting]] = {}

    def note(self, pod: Pod, blocked: tuple[Blocked, ...]) -> None:
        """The pod was decided and waits; none in ``blocked``: quotas are not why."""
        if not blocked:
            self.forget(pod.key)
            return
        waiting = Waiting.of(pod, blocked)
        if self.of(pod.key.namespace).get(pod.key) != waiting:
            self._pods.setdefault(pod.key.namespace, {})[pod.key] = waiting
            self.touched.add(pod.key.namespace)

    def forget(self, pod: PodKey) -> None:
        """The pod waits no more."""
        pods = self._pods.get(pod.namespace, {})
        if pods.pop(pod, None) is not None:
            self.touched.add(pod.namespace)
            if not pods:
                del self._pods[pod.namespace]

    def of(self, namespace: str) -> Mapping[PodKey, Waiting]:
        """Those of a namespace."""
        return self._pods.get(namespace, {})


def _ignore(_: Any) -> None:
    return


def _ignore_both(_: PodKey, __: str) -> None:
    return


def _ignore_quota(_: Mapping[str, Any], __: bool) -> None:  # noqa: FBT001 - a callback of the sensors
    return


def _not_busy(_: str) -> bool:
    return False


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class World:
    """The cluster as we know it, the pending pods, and whom to tell.

    ``now`` is the clock (unix seconds); ``report`` takes problems. ``node_seen`` and ``node_gone`` are told every news
    of a node, ``pod_ended`` a pod that can hold no node lock any more, ``pod_served`` one that needs no lock of our own
    any more, ``lock_again`` one that waits for several plugins of one lock, ``lock_over`` such a pod and its node when
    it runs, ``pod_left`` the uid of one that waits no more, ``own_quota_seen`` every news of our quota objects;
    ``busy`` tells whether a node's lock is held or waited for. Nothing is decided while ``may_decide`` is not set.
    ``adopt``: decisions of a HAMi scheduler that are not bound yet are honoured for a while.
    ``diary`` remembers the last decision about each pod, to be shown.
    """

    scheduler_name: str
    cluster: Cluster
    queue: Queue
    now: Callable[[], float]
    report: Callable[[Problem], None] = _ignore
    node_seen: Callable[[Node], None] = _ignore
    node_gone: Callable[[str], None] = _ignore
    pod_ended: Callable[[PodKey], None] = _ignore
    pod_served: Callable[[PodKey], None] = _ignore
    lock_again: Callable[[Unserved], None] = _ignore
    lock_over: Callable[[PodKey, str], None] = _ignore_both
    pod_left: Callable[[str], None] = _ignore
    own_quota_seen: Callable[[Mapping[str, Any], bool], None] = _ignore_quota
    busy: Callable[[str], bool] = _not_busy
    may_decide: asyncio.Event = field(default_factory=_open)
    volumes: Volumes = field(default_factory=Volumes)
    blocked: BlockedPods = field(default_factory=BlockedPods)
    adopt: bool = False
    diary: Diary = field(default_factory=Diary)

    def freed(self, namespace: str) -> None:
        """A pod of this namespace gave something back: nodes have room, and so may its quotas."""
        self.queue.wake()
        self.queue.wake_namespace(namespace)
