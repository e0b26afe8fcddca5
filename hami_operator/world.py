"""What the sensors feed and the loop acts on: one object for the state of the cluster as we know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hami_operator.core.model import PodKey
from hami_operator.core.schedule import Cluster
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
class World:
    """The cluster as we know it, the pending pods, and whom to tell.

    ``now`` is the clock (unix seconds); ``report`` takes problems; ``lock_changed`` is told a node's lock text (None:
    no lock) with every news of that node; ``pod_changed`` is told a pod whose state could free a lock.
    """

    scheduler_name: str
    cluster: Cluster
    queue: Queue
    now: Callable[[], float]
    report: Callable[[Problem], None]
    lock_changed: Callable[[str, str | None], None] = lambda node, text: None
    node_removed: Callable[[str], None] = lambda node: None
    holder_changed: Callable[[PodKey], None] = lambda key: None
