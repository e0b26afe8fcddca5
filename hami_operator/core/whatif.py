"""A part of a cluster to try things on: some nodes and one namespace's quotas, copied. Nothing tried is seen outside.

What can't change is shared (nodes, cards, records); what can is copied when the trial is made, so that it may be
asked on while the cluster goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .cluster import Cluster
from .errors import InvalidRequest
from .inventory import Inventory, NodeDevices
from .kept import Kept
from .ledger import Ledger
from .model import Allocation, Container, Pod
from .quota import Quota
from .quotabook import Rooms
from .reasons import Refusal
from .record import NodeUsage, PodRecord
from .schedule import ask
from .space import Space
from .vendor import Profile

#: Questions that one trial answers; whatever is asked beyond is answered with no.
MOST_QUESTIONS = 800


class _Nodes(Inventory):
    """Some nodes as they were."""

    def __init__(self, profiles: Sequence[Profile], entries: Iterable[NodeDevices]) -> None:
        super().__init__(profiles)
        self._entries = {entry.node.name: entry for entry in entries}

    def get(self, name: str) -> NodeDevices | None:
        return self._entries.get(name)


class _Holders(Ledger):
    """Who holds what of some nodes and in one namespace, to be changed at will."""

    def __init__(self, profiles: Sequence[Profile], usages: Mapping[str, NodeUsage], space: Space) -> None:
        super().__init__(profiles)
        self._usages = usages
        self._space = space

    def usage(self, node: str) -> NodeUsage:
        return self._usages.get(node) or NodeUsage()

    def space(self, namespace: str) -> Space:
        return self._space

    @contextlib.contextmanager
    def without(self, uid: str) -> Iterator[None]:
        """As if this pod held nothing, for the time of the body."""
        usages = [usage for usage in self._usages.values() if uid in usage.pods]
        record = usages[0].pods[uid] if usages else self._space.pods[uid]
        counted = uid in self._space.pods
        for usage in usages:
            usage.add(record, -1)
        if counted:
            self._space.drop(record)
        yield
        for usage in usages:
            usage.add(record, 1)
        if counted:
            self._space.put(record)


@dataclass(slots=True)
class Trial:
    """Questions to a part of a cluster. ``now`` is unix seconds."""

    part: Cluster
    holders: _Holders
    now: float
    questions: int = MOST_QUESTIONS

    def takes(self, pod: Pod, node: str) -> bool:
        """Whether the node would take the pod now."""
        return self.given(pod, node) is not None

    def given(self, pod: Pod, node: str) -> Allocation | None:
        """What the node would give the pod within its quotas, or None."""
        if not self.questions:
            return None
        self.questions -= 1
        try:
            answer = self.answer(pod, node)
        except InvalidRequest:
            return None
        return answer if isinstance(answer, Allocation) else None

    def answer(self, pod: Pod, node: str) -> Allocation | tuple[Refusal, ...]:
        """What a node of the part would give the pod within its quotas, or why it does not. Raises InvalidRequest."""
        demand = self.part.demand_of(pod)
        found = self.part.quotas.rooms(pod)
        keys = (family.profile.key for family in demand.families)
        rooms: Rooms = {key: found[key] for key in keys if key in found}
        return ask(pod, Kept(demand, rooms), node, self.part, self.now)

    @contextlib.contextmanager
    def under(self, quotas: Iterable[Quota]) -> Iterator[None]:
        """As if these objects stood in the place of those of the same name, for the time of the body."""
        book = self.part.quotas
        changed = list(quotas)
        before = [quota for one in changed if (quota := book.get(one.id)) is not None]
        for quota in changed:
            book.put(quota)
        yield
        for quota in before:
            book.put(quota)


def trial_of(cluster: Cluster, nodes: Iterable[str], namespace: str, now: float) -> Trial:
    """A trial on these nodes, for pods of this namespace."""
    return trial_on(cluster, [entry for name in nodes if (entry := cluster.inventory.get(name))], namespace, now)


def trial_on(cluster: Cluster, entries: Sequence[NodeDevices], namespace: str, now: float) -> Trial:
    """The same on nodes as they are given. One of a name that the cluster knows is used as that one is."""
    quotas = list(cluster.quotas.of(namespace))
    space = _copied_space(cluster.ledger.space(namespace)) if quotas else Space()
    usages = {entry.node.name: _copied_usage(cluster.ledger.usage(entry.node.name)) for entry in entries}
    holders = _Holders(cluster.profiles, usages, space)
    part = Cluster(
        cluster.profiles,
        cluster.policies,
        _Nodes(cluster.profiles, entries),
        holders,
        cluster.around,
        cluster.failing,
        node_fit=cluster.node_fit,
        reach=cluster.reach,
    )
    for quota in quotas:
        part.quotas.put(quota)
    return Trial(part, holders, now)


def _copied_usage(usage: NodeUsage) -> NodeUsage:
    return replace(
        usage,
        pods=dict(usage.pods),
        cards={family: dict(cards) for family, cards in usage.cards.items()},
        tenants={
            family: {card: dict(shares) for card, shares in cards.items()} for family, cards in usage.tenants.items()
        },
        extended=dict(usage.extended),
        troubled=dict(usage.troubled),
    )


def _copied_space(space: Space) -> Space:
    return Space(pods=dict(space.pods), troubled=dict(space.troubled))


def resized(pod: Pod, container: Container, profile: Profile, resource: str, amount: int) -> Pod | None:
    """The pod with another amount in one container, as admission would leave it; None where it would be refused."""
    limits = {**container.limits, resource: str(amount)}
    requests = {**container.requests, resource: str(amount)}
    try:
        admission = profile.hooks.admit(profile, replace(container, limits=limits, requests=requests), pod.annotations)
    except InvalidRequest:
        return None
    texts = {name: str(value) for name, value in admission.resources.items()}
    changed = replace(container, limits={**limits, **texts}, requests={**requests, **texts})
    extended = dict(pod.resources.extended)
    for name, value in {resource: amount, **admission.resources}.items():
        if name in extended:
            before = container.requests.get(name, container.limits.get(name, "0"))
            extended[name] += value - (int(before) if before.isdecimal() else value)
    containers = tuple(changed if one is container else one for one in pod.containers)
    return replace(pod, containers=containers, resources=replace(pod.resources, extended=extended))


def weight(record: PodRecord) -> tuple[int, str]:
    """By what small pods come first: MiB held, then the name."""
    held = sum(amounts.memory_mib for cards in record.held.values() for amounts in cards.values())
    return held, str(record.key)
