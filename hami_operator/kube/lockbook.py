"""What we know of each node's lock, and who waits for it. No I/O: news in, knowledge out."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import PodKey
from hami_operator.core.protocol import NODE_LOCK, Lock, parse_lock

_MAP_PATH = "/metadata/annotations"
_KEY_PATH = f"{_MAP_PATH}/{NODE_LOCK.replace('~', '~0').replace('/', '~1')}"

UNKNOWN = -1


class Turn(enum.Enum):
    """How waiting for a node lock ended."""

    TAKEN = "taken"
    BUSY = "busy"
    ABANDONED = "abandoned"
    NODE_GONE = "node gone"


@dataclass(frozen=True, slots=True)
class LockSettings:
    """``timeout_s``: age at which a lock expires. ``poll_s``: how soon missed news of a node is noticed."""

    scheduler_name: str = "hami-scheduler"
    timeout_s: float = 300.0
    poll_s: float = 5.0


@dataclass(frozen=True, slots=True)
class LockNews:
    """Something to tell about a lock: ``pod`` begins to wait for ``node``, or takes its lock by force (``forced``)."""

    node: str
    pod: PodKey
    text: str
    forced: bool


@dataclass(slots=True, eq=False)
class Waiter:
    """A pod in the queue of a node. ``unsure``: a patch of ours got no answer, so the lock may be ours."""

    pod: PodKey
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = False
    unsure: bool = False


@dataclass(slots=True, eq=False)
class LockState:
    """One node's lock.

    ``value`` None: free. ``version`` is the node's resourceVersion we know it from, ``since`` the unix time at which
    we first saw this value. ``holder`` is set while it is a lock that we took. ``bare``: the node has no annotations.
    """

    node: str
    value: str | None = None
    version: int = UNKNOWN
    since: float = 0.0
    holder: PodKey | None = None
    bare: bool = False
    queue: list[Waiter] = field(default_factory=list)

    @property
    def lock(self) -> Lock | None:
        """The lock as a value; None when there is none, or its text can't be read."""
        if self.value is None:
            return None
        try:
            return parse_lock(self.value)
        except ProtocolError:
            return None

    def may_be_of(self, pod: PodKey) -> bool:
        """Whether the lock names this pod and we don't know it to be a namesake's."""
        lock = self.lock
        return lock is not None and lock.held_by(pod.namespace, pod.name) and self.holder in (None, pod)

    def doubt(self) -> None:
        """What we know may be old: the next who needs the lock looks at the node first."""
        self.version = UNKNOWN

    def wake_first(self) -> None:
        """Let the first in the queue look again."""
        if self.queue:
            self.queue[0].wake.set()

    def operations(self, value: str | None) -> list[dict[str, Any]]:
        """The JSON patch from what we know to ``value`` (None: no lock).

        A ``test`` for null holds where the key is absent, but not where the whole map is (kube-apiserver v1.37.2), so
        a node without annotations gets the map.
        """
        if self.value is None and self.bare:
            add = {"op": "add", "path": _MAP_PATH, "value": {NODE_LOCK: value}}
            return [{"op": "test", "path": _MAP_PATH, "value": None}, add]
        change: dict[str, Any] = {"op": "remove", "path": _KEY_PATH}
        if value is not None:
            change = {"op": "add", "path": _KEY_PATH, "value": value}
        return [{"op": "test", "path": _KEY_PATH, "value": self.value}, change]


class LockBook:
    """The locks of all nodes."""

    def __init__(self) -> None:
        self._states: dict[str, LockState] = {}
        self._locked: set[str] = set()

    def state(self, node: str) -> LockState:
        """The node's state, made when it is first asked for."""
        if node not in self._states:
            self._states[node] = LockState(node)
        return self._states[node]

    def learn(self, node: str, annotations: Mapping[str, str], resource_version: str, now: float) -> None:
        """A node's annotations as of ``resource_version``; what is older than what we know changes nothing."""
        state = self.state(node)
        version = int(resource_version) if resource_version.isdecimal() else state.version + 1
        if version < state.version:
            return
        state.version, state.bare = version, not annotations
        value = annotations.get(NODE_LOCK)
        if value == state.value:
            return
        state.value, state.since, state.holder = value, now, None
        (self._locked.discard if value is None else self._locked.add)(node)
        state.wake_first()

    def forget(self, node: str) -> None:
        """The node is gone. Who still waits for it is woken to find that out."""
        self._locked.discard(node)
        state = self._states.get(node)
        if state is None:
            return
        if not state.queue:
            del self._states[node]
            return
        state.value, state.holder = None, None
        state.doubt()
        state.wake_first()

    def locked(self) -> list[LockState]:
        """The states of all nodes that have a lock."""
        return [self._states[node] for node in sorted(self._locked)]

    def queues(self) -> Iterator[LockState]:
        """The states of all nodes that are waited for."""
        return (state for state in self._states.values() if state.queue)

    def busy(self, node: str) -> bool:
        """Whether the node is locked or waited for."""
        state = self._states.get(node)
        return state is not None and (state.value is not None or bool(state.queue))


def go_duration(seconds: float) -> str:
    """Whole seconds as Go prints a duration: ``45s``, ``5m0s``, ``1h0m0s``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
