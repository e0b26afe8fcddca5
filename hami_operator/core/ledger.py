"""Who holds what: observed pods and our own reservations, by node and card, with running totals kept here alone.

Order of news. Events, lists and our own answers arrive in any order. Per uid: a node once learnt never goes away, the
higher resourceVersion wins, a uid that went leaves a tombstone. Nothing here waits or fails half-way: every public
method leaves the totals equal to what ``audit`` computes from nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .decode import decode_pod
from .journal import Journal
from .model import Allocation, Pod
from .record import NodeUsage, PodRecord
from .space import Space
from .usage import Holdings, holdings, tenancies
from .vendor import Profile

#: How long a uid that went is remembered, in seconds: no event is older than a watch that has to be started anew.
TOMBSTONE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Change:
    """What an observation did.

    ``freed``: something was given back on ``node``; ``problems`` are new ones by family; ``stale``: it was older than
    what we knew and changed nothing.
    """

    node: str = ""
    changed: bool = False
    freed: bool = False
    problems: Mapping[str, str] = field(default_factory=dict, hash=False)
    stale: bool = False


NO_CHANGE = Change()
STALE = Change(stale=True)


class Ledger:
    """All records by uid, and the totals of each node.

    ``touched`` collects the namespaces whose pods hold something else than before; who follows them empties it.
    """

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.journal = Journal()
        self.touched: set[str] = set()
        self._profiles = tuple(profiles)
        self._masks = frozenset(profile.key for profile in profiles if profile.core_masks)
        self._with_tenants = tuple(profile for profile in profiles if profile.tenant_keys is not None)
        self._records: dict[str, PodRecord] = {}
        self._nodes: dict[str, NodeUsage] = {}
        self._spaces: dict[str, Space] = {}
        self._single = frozenset(name for profile in profiles for name in profile.one_name)
        self._gone: dict[str, float] = {}
        self._keeping_away = 0

    # -- news ----------------------------------------------------------------------------------------------------

    def observe(self, pod: Pod, now: float) -> Change:
        """Take over a pod as an event or a list shows it."""
        uid, version = pod.key.uid, _version(pod.resource_version)
        known = self._records.get(uid)
        if uid in self._gone or (known and not known.assumed and version < known.version):
            return STALE
        if not pod.node_name and known is not None and known.node:
            return STALE  # older than what a 201 or another event told; a bound pod stays bound
        return self._put(self._record(pod, known))

    def _record(self, pod: Pod, known: PodRecord | None) -> PodRecord:
        if pod.terminal or not pod.node_name:
            return PodRecord(pod.key, "", _version(pod.resource_version), terminal=pod.terminal)
        decoded = decode_pod(pod, self._profiles)
        families, problems = dict(decoded.allocation.families), dict(decoded.problems)
        if known is not None and known.node == pod.node_name:
            for family in decoded.problems:
                if family in known.allocation.families:  # the last good value is kept
                    families[family] = known.allocation.families[family]
                    del problems[family]
        return self._holding(pod, pod.node_name, Allocation(families), problems)

    def _holding(self, pod: Pod, node: str, allocation: Allocation, problems: Mapping[str, str]) -> PodRecord:
        """What a pod holds on its node, or (``assumed``) will hold on the one that we chose for it."""
        kinds = [container.kind for container in pod.containers]
        return PodRecord(
            key=pod.key,
            node=node,
            version=_version(pod.resource_version),
            allocation=allocation,
            held=holdings(allocation, kinds, init_done=pod.init_done, masks=self._masks),
            tenants=tenancies(pod, allocation, self._with_tenants),
            resources=pod.resources,
            host_ports=pod.constraints.host_ports,
            anti_affinity=pod.constraints.anti_affinity,
            problems=problems,
            assumed=not pod.node_name,
            traits=pod.traits,
            asked=self.asked(pod),
        )

    def gone(self, uid: str, now: float) -> Change:
        """The pod was deleted. Later news of this uid is old news."""
        self._gone[uid] = now
        return self._drop(uid)

    def expire_tombstones(self, now: float) -> None:
        """Forget uids that went more than ten minutes ago."""
        self._gone = {uid: at for uid, at in self._gone.items() if now - at < TOMBSTONE_SECONDS}

    # -- our own reservations ------------------------------------------------------------------------------------

    def assume(self, pod: Pod, node: str, allocation: Allocation) -> None:
        """Reserve a decision. There is no wait between deciding and this call: that is the lock."""
        self._put(self._holding(pod, node, allocation, {}))

    def confirm(self, uid: str) -> None:
        """The API server said that it is bound where we reserved: the record stays until news replaces it."""
        record = self._records.get(uid)
        if record is not None and record.assumed:
            self._put(replace(record, assumed=False))

    def forget(self, uid: str) -> Change:
        """Undo a reservation; a record that was observed meanwhile stays."""
        record = self._records.get(uid)
        return self._drop(uid) if record is not None and record.assumed else NO_CHANGE

    # -- reading -------------------------------------------------------------------------------------------------

    def usage(self, node: str) -> NodeUsage:
        """Totals of a node; empty for one that holds nothing. Not to be changed by the caller."""
        return self._nodes.get(node) or _EMPTY

    def space(self, namespace: str) -> Space:
        """The pods of a namespace that hold something, kept up to date. Not to be changed by the caller."""
        space = self._spaces.get(namespace)
        if space is None:
            space = self._spaces[namespace] = Space()
        return space

    def asked(self, pod: Pod) -> frozenset[str]:
        """Which of the names it uses that a family allows only one of."""
        found = _NO_NAMES
        for container in pod.containers:
            if not (self._single.isdisjoint(container.limits) and self._single.isdisjoint(container.requests)):
                found |= self._single.intersection((*container.limits, *container.requests))
        return found

    def held_by(self, pod: Pod, allocation: Allocation) -> Holdings:
        """What a pod would hold of each card with this allocation."""
        kinds = [container.kind for container in pod.containers]
        return holdings(allocation, kinds, init_done=False, masks=self._masks)

    def record(self, uid: str) -> PodRecord | None:
        """What we know of a pod, or None."""
        return self._records.get(uid)

    def records(self) -> Iterator[PodRecord]:
        """All records, terminal ones included."""
        return iter(self._records.values())

    @property
    def labels_matter(self) -> bool:
        """Whether some running pod keeps others away by their labels."""
        return self._keeping_away > 0

    def audit(self) -> list[str]:
        """Recount every node from its records; returns a line per difference (none when all is right)."""
        fresh: dict[str, NodeUsage] = {}
        for record in self._records.values():
            if record.node:
                fresh.setdefault(record.node, NodeUsage()).add(record, 1)
        empty = NodeUsage()
        names = sorted(self._nodes.keys() | fresh.keys())
        pairs = ((name, self._nodes.get(name, empty), fresh.get(name, empty)) for name in names)
        lines = [line for name, kept, counted in pairs for line in _differences(name, kept, counted)]
        found = {uid: record for space in self._spaces.values() for uid, record in space.pods.items()}
        if found != {uid: record for uid, record in self._records.items() if record.node}:
            lines.append("the pods by namespace are not the pods that hold something")
        return lines

    # -- totals --------------------------------------------------------------------------------------------------

    def _put(self, record: PodRecord) -> Change:
        uid = record.key.uid
        before = self._records.get(uid)
        self._records[uid] = record
        new_problems = {
            family: problem
            for family, problem in record.problems.items()
            if before is None or before.problems.get(family) != problem
        }
        if before is not None and before.weighs_like(record):
            if record.node:
                self._nodes[record.node].pods[uid] = record
                self._spaces[record.key.namespace].refresh(record)
            return Change(record.node, problems=new_problems)
        if before is not None:
            self._take_out(before)
        if record.node:
            usage = self._nodes.setdefault(record.node, NodeUsage())
            usage.add(record, 1)
            self._keeping_away += bool(record.anti_affinity)
            self.journal.note(record.node)
            self._touch(record.key.namespace).put(record)
        freed = before is not None and bool(before.node)
        return Change(before.node if before and freed else record.node, bool(record.node) or freed, freed, new_problems)

    def _drop(self, uid: str) -> Change:
        record = self._records.pop(uid, None)
        if record is None or not record.node:
            return NO_CHANGE
        self._take_out(record)
        return Change(record.node, changed=True, freed=True)

    def _take_out(self, record: PodRecord) -> None:
        if not record.node:
            return
        usage = self._nodes[record.node]
        usage.add(record, -1)
        self._keeping_away -= bool(record.anti_affinity)
        self.journal.note(record.node)
        self._touch(record.key.namespace).drop(record)

    def _touch(self, namespace: str) -> Space:
        self.touched.add(namespace)
        return self.space(namespace)


_EMPTY = NodeUsage()
_NO_NAMES: frozenset[str] = frozenset()


def _version(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _differences(name: str, kept: NodeUsage, counted: NodeUsage) -> Iterable[str]:
    for field_name in ("cpu_milli", "memory_bytes", "ephemeral_bytes", "extended", "cards", "tenants", "pods"):
        a, b = getattr(kept, field_name), getattr(counted, field_name)
        if a != b:
            yield f"node {name}: {field_name} is kept as {a!r} and counts as {b!r}"
