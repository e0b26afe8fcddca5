"""The quota objects in force by namespace, and what they leave a pod. What is used is derived from the ledger.

Nothing is ever added to or taken from a sum that is kept: a namespace's sums are made anew when the ledger says that
its pods hold something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .ledger import Ledger, PodRecord
from .model import Pod, Traits
from .quota import Limit, Quota, QuotaId, QuotaKey, quota_keys
from .room import Allowance, Room, room_of
from .usage import Holdings
from .vendor import NOTHING, Amounts, Profile, added

#: By family key.
Rooms = Mapping[str, Room]
NO_ROOMS: Rooms = {}


@dataclass(slots=True)
class _Answers:
    """Rooms of one namespace by what tells its pods apart, as long as the ledger's version is this."""

    version: int
    rooms: dict[tuple[Traits, frozenset[str]], Rooms] = field(default_factory=dict)


class QuotaBook:
    """All quota objects. ``keys`` are those of the families in force."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.keys = quota_keys(profiles)
        self._objects: dict[str, dict[QuotaId, Quota]] = {}
        self._answers: dict[str, _Answers] = {}

    def put(self, quota: Quota) -> bool:
        """Take over an object as it is now, in one step; False when that changes nothing that is enforced."""
        objects = self._objects.setdefault(quota.id.namespace, {})
        before = objects.get(quota.id)
        objects[quota.id] = quota
        if before is not None and (before.limits, before.scopes) == (quota.limits, quota.scopes):
            return False
        self._answers.pop(quota.id.namespace, None)
        return True

    def remove(self, quota: QuotaId) -> bool:
        """The object is gone; False when it was not known."""
        objects = self._objects.get(quota.namespace, {})
        if objects.pop(quota, None) is None:
            return False
        if not objects:
            del self._objects[quota.namespace]
        self._answers.pop(quota.namespace, None)
        return True

    def get(self, quota: QuotaId) -> Quota | None:
        """One object, or None."""
        return self._objects.get(quota.namespace, {}).get(quota)

    def of(self, namespace: str) -> Iterable[Quota]:
        """The objects of a namespace."""
        return self._objects.get(namespace, {}).values()

    def namespaces(self) -> Iterable[str]:
        """The namespaces with objects."""
        return self._objects.keys()

    def rooms(self, pod: Pod, ledger: Ledger) -> Rooms:
        """What all objects of its namespace together leave the pod, per family; empty where nothing is limited."""
        namespace = pod.key.namespace
        if namespace not in self._objects:
            return NO_ROOMS
        space = ledger.space(namespace)
        answers = self._answers.get(namespace)
        if answers is None or answers.version != space.version:
            answers = self._answers[namespace] = _Answers(space.version)
        who = (pod.traits, ledger.asked(pod))
        rooms = answers.rooms.get(who)
        if rooms is None:
            rooms = answers.rooms[who] = self._rooms(namespace, who, space.pods.values())
        return rooms

    def _rooms(self, namespace: str, who: tuple[Traits, frozenset[str]], records: Iterable[PodRecord]) -> Rooms:
        traits, asked = who
        by_family: dict[str, list[Allowance]] = {}
        for quota in self.of(namespace):
            if quota.covers(traits):
                for allowance in allowances(quota, records):
                    key = allowance.key
                    if not key.asked_as or key.asked_as in asked:
                        by_family.setdefault(key.family, []).append(allowance)
        return {family: room_of(tuple(found)) for family, found in by_family.items()}


def allowances(quota: Quota, records: Iterable[PodRecord]) -> list[Allowance]:
    """Each limit of the object with what these pods (all of its namespace that hold something) use of it."""
    covered = records if not quota.scopes else [record for record in records if quota.covers(record.traits)]
    troubled = [record for record in covered if record.problems]
    sums: dict[tuple[str, str], Amounts] = {}
    found = []
    for limit in quota.limits:
        group = (limit.key.family, limit.key.asked_as)
        if group not in sums:
            sums[group] = _sum(limit.key, covered)
        used = sums[group][limit.key.part]
        problem = limit.problem or _uncountable(limit, troubled)
        found.append(Allowance(quota.id, limit.key, used, limit.hard, problem))
    return found


def _sum(key: QuotaKey, records: Iterable[PodRecord]) -> Amounts:
    """What is held of the key's family by pods that are charged under the key."""
    family, name = key.family, key.asked_as
    slots = memory = cores = 0
    for record in records:
        cards = record.held.get(family)
        if cards and (not name or name in record.asked):
            for one, mib, part in cards.values():
                slots += one
                memory += mib
                cores += part
    return Amounts(slots, memory, cores)


def _uncountable(limit: Limit, records: Iterable[PodRecord]) -> str:
    """A pod whose share can't be read holds nobody knows what, so nothing more is given until that is mended."""
    for record in records:
        if limit.key.family in record.problems:
            return f"{limit.key.text} can't be counted: {record.key}: {record.problems[limit.key.family]}"
    return ""


def charged(held: Holdings) -> dict[str, Amounts]:
    """What a pod that holds this is charged, per family."""
    return {family: _total(cards.values()) for family, cards in held.items()}


def _total(amounts: Iterable[Amounts]) -> Amounts:
    total = NOTHING
    for one in amounts:
        total = added(total, one)
    return total
