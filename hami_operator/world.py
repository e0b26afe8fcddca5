"""What the sensors feed and the loop acts on: one object for the state of the cluster as we know it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.model import Node, PodKey, SelectorTerm
from hami_operator.core.schedule import Cluster
from hami_operator.diary import Diary
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


def _ignore(_: Any) -> None:
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
    of a node, ``pod_ended`` a pod that can hold no node lock any more, ``pod_left`` the uid of one that waits no more;
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
    pod_left: Callable[[str], None] = _ignore
    busy: Callable[[str], bool] = _not_busy
    may_decide: asyncio.Event = field(default_factory=_open)
    volumes: Volumes = field(default_factory=Volumes)
    adopt: bool = False
    diary: Diary = field(default_factory=Diary)
