"""``/``: how much there is of each card type, what fits now, and what needs a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hami_operator import __version__
from hami_operator.serving.quotas import QuotaRow, quota_rows
from hami_operator.serving.rollup import Kind, Rollup
from hami_operator.serving.sight import LeaderView, NodeLockView, Sight

#: A lock that is older is worth a look.
LOCK_SECONDS = 60.0

#: Lines of a list on the overview; what is more is counted.
LINES = 10


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest requests that would fit now: one card with so much memory, whole cards of one node."""

    memory_mib: int
    memory_node: str
    whole_cards: int
    whole_cards_on_one_node: int
    whole_cards_linked: int


@dataclass(frozen=True, slots=True)
class TypeRow:
    """A card type over all nodes. Memory in MiB; cores in ``core_unit`` (``%``: 100 is one card)."""

    family: str
    type: str
    nodes: int
    cards: int
    healthy: int
    memory_mib: int
    given_mib: int
    free_mib: int
    core_unit: str
    cores: int
    given_cores: int
    slots: int
    shares: int
    fits: Fit


@dataclass(frozen=True, slots=True)
class StaleNode:
    """A family's handshake that has stopped changing; ``since`` in unix seconds."""

    node: str
    family: str
    since: float


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole cluster. Times are unix seconds."""

    version: str
    leader: LeaderView
    missing: list[str]
    remarks: list[str]
    nodes: int
    nodes_excluded: list[str]
    types: list[TypeRow]
    queue: Mapping[str, int]
    pending: int
    pending_reasons: list[tuple[str, int]]
    quotas: list[QuotaRow]
    stale: list[StaleNode]
    locks: list[NodeLockView]
    heard: Mapping[str, float]


def overview(sight: Sight) -> Overview:
    """Build it. Costs by nodes, not by cards: what did not change since the last time is not looked at again."""
    world, now = sight.world, sight.world.now()
    rollups = sight.rollups().values()
    pods = world.queue.pods()
    reasons = Counter(reason for pod in pods for reason in sight.reasons(pod.key.uid))
    locks = [lock for lock in sight.locks().held if now - lock.since > LOCK_SECONDS]
    return Overview(
        version=__version__,
        leader=sight.leader(),
        missing=sight.missing(),
        remarks=sight.remarks(),
        nodes=sum(1 for rollup in rollups if rollup.kinds),
        nodes_excluded=sorted(rollup.name for rollup in rollups if rollup.kinds and rollup.excluded),
        types=_types(rollups),
        queue=world.queue.counts(),
        pending=len(pods),
        pending_reasons=sorted(reasons.items(), key=lambda item: (-item[1], item[0])),
        quotas=[row for row in quota_rows(world.cluster) if row.nearly_full],
        stale=[StaleNode(*found) for found in sorted(sight.history.stale(now))],
        locks=sorted(locks, key=lambda lock: lock.since),
        heard=dict(sorted(sight.history.last_heard().items())),
    )


def _types(rollups: Iterable[Rollup]) -> list[TypeRow]:
    found: dict[tuple[str, str], list[tuple[str, Kind]]] = {}
    for rollup in rollups:
        for key, kind in rollup.kinds.items():
            found.setdefault(key, []).append((rollup.name, kind))
    return [_type(kinds) for _, kinds in sorted(found.items())]


def _type(kinds: list[tuple[str, Kind]]) -> TypeRow:
    first = kinds[0][1]
    roomiest, node = max((kind.largest_free_mib, name) for name, kind in kinds)
    return TypeRow(
        family=first.family,
        type=first.type,
        nodes=len(kinds),
        cards=sum(kind.cards for _, kind in kinds),
        healthy=sum(kind.healthy for _, kind in kinds),
        memory_mib=sum(kind.memory_mib for _, kind in kinds),
        given_mib=sum(kind.given_mib for _, kind in kinds),
        free_mib=sum(kind.free_mib for _, kind in kinds),
        core_unit=first.core_unit,
        cores=sum(kind.cores for _, kind in kinds),
        given_cores=sum(kind.given_cores for _, kind in kinds),
        slots=sum(kind.slots for _, kind in kinds),
        shares=sum(kind.shares for _, kind in kinds),
        fits=Fit(
            memory_mib=roomiest,
            memory_node=node if roomiest else "",
            whole_cards=sum(kind.whole_free for _, kind in kinds),
            whole_cards_on_one_node=max(kind.whole_free for _, kind in kinds),
            whole_cards_linked=max(kind.linked_free for _, kind in kinds),
        ),
    )
