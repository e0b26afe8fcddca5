"""The status of a quota object: what is used of it, by whom, who waits for it, and whether all is well with it."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .model import Pod, PodKey, Rank
from .quota import Quota, QuotaId
from .quotabook import allowances
from .reasons import Reason
from .record import PodRecord
from .room import Allowance
from .schedule import Blocked

#: Pods named, and characters of a condition's message.
NAMED = 5
MESSAGE = 1024

READY, EXHAUSTED = "Ready", "Exhausted"
ENFORCED, ROOM, AT_HARD, OVER_HARD = "Enforced", "Room", "AtHard", "OverHard"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod that quotas keep waiting."""

    pod: PodKey
    rank: Rank
    blocked: tuple[Blocked, ...]

    @classmethod
    def of(cls, pod: Pod, blocked: tuple[Blocked, ...]) -> Waiting:
        """The pod with its place in the queue."""
        return cls(pod.key, pod.rank, blocked)

    def asks_of(self, quota: QuotaId) -> Mapping[str, str] | None:
        """What it asks of this object, None when it does not wait because of it."""
        return next((blocked.asked for blocked in self.blocked if blocked.quota == quota), None)


def status_of(
    quota: Quota, records: Sequence[PodRecord], waiting: Iterable[Waiting], before: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """The whole status, as the object's schema has it.

    ``records`` are all pods of the namespace that hold something, ``waiting`` those that quotas keep waiting,
    ``before`` is the status as it stands (its times of transition are kept), ``now`` unix seconds.
    """
    found = allowances(quota, records)
    blocked = sorted((one for one in waiting if one.asks_of(quota.id) is not None), key=lambda one: one.rank)
    conditions = (_ready(quota), _exhausted(found))
    return {
        "observedGeneration": quota.generation,
        "hard": {a.key.text: a.key.shown(a.hard) for a in found if not _malformed(quota, a)},
        "used": {a.key.text: a.key.shown(a.used) for a in found},
        "summary": summary(quota, found),
        "pending": len(blocked),
        "waiting": [
            {"pod": one.pod.name, "reason": str(Reason.RESOURCE_QUOTA_NOT_FIT), "asked": one.asks_of(quota.id)}
            for one in blocked[:NAMED]
        ],
        "largest": [{"pod": name, "used": used} for name, used in largest(quota, records)],
        "conditions": [_condition(*parts, quota.generation, before, now) for parts in conditions],
    }


def summary(quota: Quota, found: Sequence[Allowance]) -> str:
    """``gpu 3/4, gpumem 38000/40000``; a name that two families have is written out."""
    short = Counter(_short(allowance) for allowance in found)
    return ", ".join(
        f"{_short(a) if short[_short(a)] == 1 else a.key.resource} "
        f"{a.key.shown(a.used)}/{'?' if _malformed(quota, a) else a.key.shown(a.hard)}"
        for a in found
    )


def _short(allowance: Allowance) -> str:
    return allowance.key.resource.rpartition("/")[2]


def _malformed(quota: Quota, allowance: Allowance) -> bool:
    return any(limit.problem for limit in quota.limits if limit.key is allowance.key)


def largest(quota: Quota, records: Iterable[PodRecord]) -> list[tuple[str, dict[str, str]]]:
    """The pods that use most of the object, each by the key of which it has the largest part."""
    weighed = []
    for record in records:
        if quota.covers(record.traits):
            found = [a for a in allowances(quota, [record]) if a.used]
            if found:
                weight = max(a.used / max(a.hard, 1) for a in found)
                weighed.append((-weight, record.key.name, {a.key.text: a.key.shown(a.used) for a in found}))
    return [(name, used) for _, name, used in sorted(weighed, key=lambda item: item[:2])[:NAMED]]


# -- conditions --------------------------------------------------------------------------------------------------


def _ready(quota: Quota) -> tuple[str, str, str, str]:
    if not quota.problems:
        return READY, "True", ENFORCED, "every key is in force"
    text = "; ".join(text for _, text in quota.problems)
    return READY, "False", quota.problems[0][0], text[:MESSAGE]


def _exhausted(found: Sequence[Allowance]) -> tuple[str, str, str, str]:
    over = [a for a in found if a.used > a.hard]
    full = over or [a for a in found if a.used == a.hard]
    if not full:
        return EXHAUSTED, "False", ROOM, "every key has something left"
    text = ", ".join(f"{a.key.text} used {a.key.shown(a.used)}, hard {a.key.shown(a.hard)}" for a in full)
    return EXHAUSTED, "True", OVER_HARD if over else AT_HARD, text[:MESSAGE]


def _condition(
    kind: str, status: str, reason: str, message: str, generation: int, before: Mapping[str, Any], now: float
) -> dict[str, Any]:
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": _since(kind, status, before) or f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    }


def _since(kind: str, status: str, before: Mapping[str, Any]) -> str:
    """Since when the condition stands so, as the object says; empty when it does not stand so."""
    conditions = before.get("conditions")
    for known in conditions if isinstance(conditions, list) else ():
        if isinstance(known, dict) and (known.get("type"), known.get("status")) == (kind, status):
            return str(known.get("lastTransitionTime") or "")
    return ""
