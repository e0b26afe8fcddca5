"""Everything that serving looks at. It is read, never changed: nothing here decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hami_operator.world import World

from .adviser import Adviser
from .history import History
from .pernode import PerNode
from .rollup import Rollup, roll_up


@dataclass(frozen=True, slots=True)
class NodeLockView:
    """A node lock that is held: the pod that holds it (the annotation as it is, where it names none), and since when.

    ``since`` is when we first saw it, in unix seconds.
    """

    node: str
    holder: str
    since: float


@dataclass(frozen=True, slots=True)
class LocksView:
    """All node locks that are held, and how many pods wait for a lock, by node."""

    held: Sequence[NodeLockView] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventsView:
    """Events that wait to be written, and how many were dropped since the start."""

    waiting: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class LeaderView:
    """Who leads by the lease (empty: nobody that we know of), and whether it is we."""

    holder: str = ""
    leads: bool = False


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting in force, and where it comes from: file, environment or default."""

    name: str
    value: Any
    origin: str


def _no_locks() -> LocksView:
    return LocksView()


def _no_lines() -> list[str]:
    return []


@dataclass(slots=True)
class Sight:
    """The world, what is remembered of it, and the parts of the process that can be looked at."""

    world: World
    history: History = field(default_factory=History)
    locks: Callable[[], LocksView] = _no_locks
    events: Callable[[], EventsView] = EventsView
    leader: Callable[[], LeaderView] = LeaderView
    missing: Callable[[], list[str]] = _no_lines
    remarks: Callable[[], list[str]] = _no_lines
    settings: Sequence[SettingView] = ()
    adviser: Adviser = field(default_factory=Adviser)
    _rollups: PerNode[Rollup] = field(default_factory=lambda: PerNode(roll_up))

    def rollups(self) -> Mapping[str, Rollup]:
        """The sums of every node, by name."""
        return self._rollups.now(self.world.cluster)

    def reasons(self, uid: str) -> Mapping[str, int]:
        """How many nodes refuse a pod in the queue, by reason, as they did at the last decision."""
        last = self.world.diary.last(uid)
        return last.reasons if last is not None and not last.node else {}
