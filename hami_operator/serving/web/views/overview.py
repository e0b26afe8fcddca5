"""``/``: how much there is of each card type, what fits now, and what needs a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hami_operator import __version__
from hami_operator.serving.cardtypes import TypeRow, card_types
from hami_operator.serving.quotas import QuotaRow, quota_rows
from hami_operator.serving.sight import LeaderView, NodeLockView, Sight

#: A lock that is older is worth a look.
LOCK_SECONDS = 60.0

#: Lines of a list on the overview; what is more is counted.
LINES = 10


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
        types=card_types(rollups),
        queue=world.queue.counts(),
        pending=len(pods),
        pending_reasons=sorted(reasons.items(), key=lambda item: (-item[1], item[0])),
        quotas=[row for row in quota_rows(world.cluster) if row.nearly_full],
        stale=[StaleNode(*found) for found in sorted(sight.history.stale(now))],
        locks=sorted(locks, key=lambda lock: lock.since),
        heard=dict(sorted(sight.history.last_heard().items())),
    )
