"""What we know of each node's lock, and who waits for it. No I/O: news in, knowledge out."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import PodKey
from hami_operator.core.protocol import NODE_LOCK, OWN_PREFIX, Lock, format_lock, parse_lock

_MAP_PATH = "/metadata/annotations"

UNKNOWN = -1


class Turn(enum.Enum):
    """How waiting for a node lock ended."""

    TAKEN = "taken"
    BUSY = "busy"
    ABANDONED = "abandoned"
    NODE_GONE = "node gone"


@dataclass(frozen=True, slots=True)
class LockSettings:
    """``timeout_s``: age at which a lock expires. ``poll_s``: how soon missed news of a node is noticed.

    All locks but ``hami.io/mutex.lock`` and those of our own are anonymous: their value is a time and names no pod
    (Cambricon's ``cambricon.com/dsmlu.lock``); they expire after ``anonymous_timeout_s``.
    """

    scheduler_name: str = "hami-scheduler"
    timeout_s: float = 300.0
    poll_s: float = 5.0
    anonymous_timeout_s: float = 120.0

    def timeout_of(self, key: str) -> float:
        """The age at which a lock of this key expires."""
        return self.timeout_s if names_holder(key) else self.anonymous_timeout_s


def names_holder(key: str) -> bool:
    """Whether locks of this key name the pod that holds them."""
    return key == NODE_LOCK or key.startswith(OWN_PREFIX)


@dataclass(frozen=True, slots=True)
class LockNews:
    """Something to tell about a lock: ``pod`` begins to wait for ``node``, or takes its lock by force (``forced``)."""

    node: str
    pod: PodKey
    text: str
    forced: bool


@dataclass(slots=True, eq=False)
class Waiter:
    """A pod in the queue of a node. ``unsure``: a patch of ours got no answer, so the lock may be ours.

    ``told``: somebody else has the lock, and that the pod waits for it was told.
    ``again``: the pod has held the lock and is to get it once more, when its plugin has taken it away.
    """

    pod: PodKey
    again: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = False
    unsure: bool = False
    told: bool = False


@dataclass(slots=True, eq=False)
class LockState:
    """One lock of one node.

    ``value`` None: free. ``version`` is the node's resourceVersion we know it from, ``since`` the unix time at which
    we first saw this value. ``holder`` is set while it is a lock that we took. ``bare``: the node has no annotations.
    ``clearing`` is held by the one who removes it.
    """

    node: str
    key: str
    value: str | None = None
    version: int = UNKNOWN
    since: float = 0.0
    holder: PodKey | None = None
    bare: bool = False
    queue: list[Waiter] = field(default_factory=list)
    clearing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def lock(self) -> Lock | None:
        """The lock as a value; None when there is none, or its text can't be read."""
        if self.value is None:
            return None
        try:
            return parse_lock(self.value)
        except ProtocolError:
            return None

    @property
    def owner(self) -> tuple[str, str] | None:
        """Namespace and name of the pod that holds it; None when it names none and was not taken by us."""
        lock = self.lock
        if lock is not None and lock.name:
            return lock.namespace, lock.name
        return (self.holder.namespace, self.holder.name) if lock is not None and self.holder is not None else None

    def may_be_of(self, pod: PodKey) -> bool:
        """Whether this pod holds the lock, and we don't know the holder to be a namesake."""
        return self.owner == (pod.namespace, pod.name) and self.holder in (None, pod)

    def value_for(self, pod: PodKey, now: float) -> str:
        """The text of a lock that ``pod`` takes at ``now`` (unix seconds)."""
        named = format_lock(now, pod.namespace, pod.name)
        return named if names_holder(self.key) else named.partition(",")[0]

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
            add = {"op": "add", "path": _MAP_PATH, "value": {self.key: value}}
            return [{"op": "test", "path": _MAP_PATH, "value": None}, add]
        path = f"{_MAP_PATH}/{self.key.replace('~', '~0').replace('/', '~1')}"
        change: dict[str, Any] = {"op": "remove", "path": path}
        if value is not None:
            change = {"op": "add", "path": path, "value": value}
        return [{"op": "test", "path": path, "value": self.value}, change]


class LockBook:
    """The locks of all nodes, by node and key."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._states: dict[str, dict[str, LockState]] = {}
        self._locked: set[tuple[str, str]] = set()
        self.know(keys)

    def know(self, keys: Iterable[str]) -> None:
        """Read these locks, too, from what is learnt from now on."""
        for key in keys:
            self._states.setdefault(key, {})

    def state(self, node: str, key: str) -> LockState:
        """The state of one lock, made when it is first asked for."""
        states = self._states.setdefault(key, {})
        if node not in states:
            states[node] = LockState(node, key)
        return states[node]

    def learn(self, node: str, annotations: Mapping[str, str], resource_version: str, now: float) -> None:
        """A node's annotations as of ``resource_version``; what is older than what we know changes nothing."""
        for key in self._states:
            state = self.state(node, key)
            version = int(resource_version) if resource_version.isdecimal() else state.version + 1
            if version >= state.version:
                state.version, state.bare = version, not annotations
                self._set(state, annotations.get(key), now)

    def _set(self, state: LockState, value: str | None, now: float) -> None:
        if value == state.value:
            return
        state.value, state.since, state.holder = value, now, None
        (self._locked.discard if value is None else self._locked.add)((state.node, state.key))
        state.wake_first()

    def forget(self, node: str) -> None:
        """The node is gone. Who still waits for it is woken to find that out."""
        for key, states in self._states.items():
            self._locked.discard((node, key))
            state = states.get(node)
            if state is not None and state.queue:
                state.value, state.holder = None, None
                state.doubt()
                state.wake_first()
            else:
                states.pop(node, None)

    def locked(self) -> list[LockState]:
        """The states of all locks that are held, by node."""
        return [self._states[key][node] for node, key in sorted(self._locked)]

    def queues(self) -> Iterator[LockState]:
        """The states of all locks that are waited for."""
        return (state for states in self._states.values() for state in states.values() if state.queue)

    def busy(self, node: str) -> bool:
        """Whether a lock of the node is held or waited for."""
        states = (by_node.get(node) for by_node in self._states.values())
        return any(state is not None and (state.value is not None or bool(state.queue)) for state in states)


def go_duration(seconds: float) -> str:
    """Whole seconds as Go prints a duration: ``45s``, ``5m0s``, ``1h0m0s``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
