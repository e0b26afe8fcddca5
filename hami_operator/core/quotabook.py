"""The quota objects in force by namespace, and what they leave a pod. What is used is derived from the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .certain import Certain
from .ledger import Ledger
from .model import Pod, Traits
from .quota import CORES, MEMORY, SLOTS, Limit, Quota, QuotaId, QuotaKey, quota_keys
from .record import PodRecord
from .room import Allowance, Room, room_of
from .space import Kind, Space
from .sums import sum_of
from .usage import Holdings
from .vendor import NOTHING, Amounts, Profile

#: By family key.
Rooms = Mapping[str, Room]
NO_ROOMS: Rooms = {}
_NO_NAMES: frozenset[str] = frozenset()
_NO_CARDS: Mapping[str, Amounts] = {}


@dataclass(frozen=True, slots=True)
class _Bound:
    """The limits of one object for one family, as far as they speak of pods of one kind.

    ``slots``, ``memory_mib`` and ``cores`` are what may be held in all: None without a limit, negative where it blocks.
    """

    quota: Quota
    family: str
    asked_as: str
    limits: tuple[Limit, ...]
    slots: int | None
    memory_mib: int | None
    cores: int | None
    everybody: bool

    def used(self, space: Space) -> Amounts:
        """What the pods hold that the object speaks of."""
        if self.everybody:
            return space.held.get(self.family, NOTHING)
        found = [amounts for kind, amounts in space.totals(self.family) if self._covers(kind)]
        return sum_of(found)

    def _covers(self, kind: Kind) -> bool:
        traits, asked = kind
        return self.quota.covers(traits) and (not self.asked_as or self.asked_as in asked)


@dataclass(slots=True)
class _Objects:
    """The objects of one namespace, what its pods hold, and what bounds pods of each kind.

    ``by_name``: some key is for pods only that ask by its name. ``rooms`` are by the identity of the bounds, which live
    as long, and are those of one version of ``space``.
    """

    space: Space
    by_id: dict[QuotaId, Quota] = field(default_factory=dict)
    bounds: dict[Kind, tuple[_Bound, ...]] = field(default_factory=dict)
    by_name: bool = False
    last_traits: Traits | None = None
    last_bounds: tuple[_Bound, ...] = ()
    rooms: dict[int, Rooms] = field(default_factory=dict)
    rooms_version: int = -1

    def of(self, pod: Pod, ledger: Ledger) -> tuple[_Bound, ...]:
        """What bounds this pod."""
        if pod.traits is self.last_traits:  # a handful of values stands for all pods
            return self.last_bounds
        kind = (pod.traits, ledger.asked(pod) if self.by_name else _NO_NAMES)
        bounds = self.bounds.get(kind)
        if bounds is None:
            bounds = self.bounds[kind] = tuple(_bounds(self.by_id.values(), kind))
        if not self.by_name:
            self.last_traits, self.last_bounds = pod.traits, bounds
        return bounds

    def changed(self) -> None:
        """An object came, changed or went."""
        self.bounds.clear()
        self.rooms.clear()
        self.last_traits = None
        self.by_name = any(limit.key.asked_as for quota in self.by_id.values() for limit in quota.limits)


class QuotaBook:
    """All quota objects. ``keys`` are those of the families in force; ``ledger`` knows what is used."""

    def __init__(self, profiles: Sequence[Profile], ledger: Ledger) -> None:
        self.keys = quota_keys(profiles)
        self._ledger = ledger
        self._spaces: dict[str, _Objects] = {}

    def put(self, quota: Quota) -> bool:
        """Take over an object as it is now, in one step; False when that changes nothing that is enforced."""
        objects = self._spaces.get(quota.id.namespace)
        if objects is None:
            space = self._ledger.space(quota.id.namespace)
            space.count()
            objects = self._spaces[quota.id.namespace] = _Objects(space)
        before = objects.by_id.get(quota.id)
        objects.by_id[quota.id] = quota
        objects.changed()
        return before is None or (before.limits, before.scopes) != (quota.limits, quota.scopes)

    def remove(self, quota: QuotaId) -> bool:
        """The object is gone; False when it was not known."""
        objects = self._spaces.get(quota.namespace)
        if objects is None or objects.by_id.pop(quota, None) is None:
            return False
        objects.changed()
        if not objects.by_id:
            del self._spaces[quota.namespace]
        return True

    def get(self, quota: QuotaId) -> Quota | None:
        """One object, or None."""
        objects = self._spaces.get(quota.namespace)
        return None if objects is None else objects.by_id.get(quota)

    def of(self, namespace: str) -> Iterable[Quota]:
        """The objects of a namespace."""
        objects = self._spaces.get(namespace)
        return () if objects is None else objects.by_id.values()

    def namespaces(self) -> Iterable[str]:
        """The namespaces with objects."""
        return self._spaces.keys()

    def surely_leave(self, pod: Pod, charges: Mapping[str, Certain]) -> bool:
        """Whether the pod is within every limit of its namespace whichever cards it gets: most are, and no more needs
        to be asked then. ``charges`` is what is known of its charge by family."""
        objects = self._spaces.get(pod.key.namespace)
        if objects is None:
            return True
        space = objects.space
        if space.troubled:
            return False
        for bound in objects.of(pod, self._ledger):
            family = bound.family
            certain = charges.get(family)
            if certain is None:
                continue
            slots, memory, cores = certain  # what follows is written out: every decision under a quota comes by here
            held = space.held.get(family, NOTHING) if bound.everybody else bound.used(space)
            held_slots, held_memory, held_cores = held
            hard = bound.slots
            if hard is not None and (slots is None or (slots and slots + held_slots > hard)):
                return False
            hard = bound.memory_mib
            if hard is not None and (memory is None or (memory and memory + held_memory > hard)):
                return False
            hard = bound.cores
            if hard is not None and (cores is None or (cores and cores + held_cores > hard)):
                return False
        return True

    def rooms(self, pod: Pod) -> Rooms:
        """What all objects of its namespace together leave the pod, per family; empty where nothing is limited."""
        objects = self._spaces.get(pod.key.namespace)
        if objects is None:
            return NO_ROOMS
        if objects.rooms_version != objects.space.version:
            objects.rooms.clear()
            objects.rooms_version = objects.space.version
        bounds = objects.of(pod, self._ledger)
        rooms = objects.rooms.get(id(bounds))
        if rooms is None:
            rooms = objects.rooms[id(bounds)] = _rooms(bounds, objects.space)
        return rooms


def _rooms(bounds: Iterable[_Bound], space: Space) -> Rooms:
    by_family: dict[str, list[Allowance]] = {}
    for bound in bounds:
        used = bound.used(space)
        troubled = [record for record in space.troubled.values() if bound.quota.covers(record.traits)]
        by_family.setdefault(bound.family, []).extend(
            Allowance(
                bound.quota.id,
                limit.key,
                used[limit.key.part],
                limit.hard,
                limit.problem or _uncountable(limit, troubled),
            )
            for limit in bound.limits
        )
    return {family: room_of(tuple(found)) for family, found in by_family.items()}


def _bounds(quotas: Iterable[Quota], kind: Kind) -> Iterator[_Bound]:
    traits, asked = kind
    for quota in quotas:
        grouped: dict[tuple[str, str], list[Limit]] = {}
        for limit in quota.limits if quota.covers(traits) else ():
            key = limit.key
            if not key.asked_as or key.asked_as in asked:
                grouped.setdefault((key.family, key.asked_as), []).append(limit)
        for (family, name), limits in grouped.items():
            hard = {limit.key.part: -1 if limit.problem else limit.hard for limit in limits}
            most = hard.get(SLOTS), hard.get(MEMORY), hard.get(CORES)
            yield _Bound(quota, family, name, tuple(limits), *most, not quota.scopes and not name)


def allowances(quota: Quota, records: Iterable[PodRecord]) -> list[Allowance]:
    """Each limit of the object with what these pods (all of its namespace that hold something) use of it."""
    covered = records if not quota.scopes else [record for record in records if quota.covers(record.traits)]
    troubled = [record for record in covered if record.problems]
    sums: dict[tuple[str, str], Amounts] = {}
    found = []
    for limit in quota.limits:
        group = (limit.key.family, limit.key.asked_as)
        if group not in sums:
            sums[group] = sum_of(amounts for record in covered for amounts in held_under(limit.key, record))
        used = sums[group][limit.key.part]
        problem = limit.problem or _uncountable(limit, troubled)
        found.append(Allowance(quota.id, limit.key, used, limit.hard, problem))
    return found


def held_under(key: QuotaKey, record: PodRecord) -> Collection[Amounts]:
    """What the pod holds of each card that it is charged for under the key."""
    if key.asked_as and key.asked_as not in record.asked:
        return ()
    return record.held.get(key.family, _NO_CARDS).values()


def _uncountable(limit: Limit, records: Iterable[PodRecord]) -> str:
    """A pod whose share can't be read holds nobody knows what, so nothing more is given until that is mended."""
    for record in records:
        if limit.key.family in record.problems:
            return f"{limit.key.text} can't be counted: {record.key}: {record.problems[limit.key.family]}"
    return ""


def charged(held: Holdings) -> dict[str, Amounts]:
    """What a pod that holds this is charged, per family."""
    return {family: sum_of(cards.values()) for family, cards in held.items()}
