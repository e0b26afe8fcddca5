"""One decision: quota, node, cards, scores; the best node, or why each node refuses. No wait, no clock, no writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import protocol
from .allocate import Demand, Offer, Room, allocate, read_demand
from .errors import InvalidRequest
from .inventory import Inventory, NodeDevices
from .ledger import Ledger, NodeUsage
from .model import Allocation, Pod
from .node_fit import Surroundings, node_refusals, pod_refusals
from .reasons import Reason, Refusal, unschedulable_text
from .score import node_score
from .vendor import Amounts, Profile


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of pods that name none: ``binpack`` or ``spread`` for nodes, words of ``request`` for cards."""

    node: str
    card: str


@dataclass(slots=True)
class Cluster:
    """Everything a decision looks at. ``failing`` are node families that are not to be used until a time.

    ``failing`` maps (node, family) to unix seconds; ``busy`` names nodes whose lock is held: among nodes of equal score
    one that is not busy is taken.
    """

    profiles: Sequence[Profile]
    policies: Policies
    inventory: Inventory
    ledger: Ledger
    around: Surroundings = field(default_factory=Surroundings)
    failing: dict[tuple[str, str], float] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    def rooms(self, namespace: str) -> Mapping[str, Room]:
        """What quotas leave a namespace, per family."""
        return {}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one node answers: a score and an allocation, or refusals."""

    score: float = 0.0
    allocation: Allocation | None = None
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """The decision for a pod that fits. ``verdicts`` are those of every node looked at."""

    node: str
    allocation: Allocation
    verdicts: Mapping[str, Verdict]

    @property
    def message(self) -> str:
        """The sentence of the event, in the words of HAMi v2.7.0 pkg/scheduler/scheduler.go."""
        fitting = sorted((v.score, name) for name, v in self.verdicts.items() if v.allocation is not None)
        refused = len(self.verdicts) - len(fitting)
        shown = ",".join(f"{name}:{score:.2f}" for score, name in fitting[-NODES_SHOWN:])
        more = f",and {len(fitting) - NODES_SHOWN} more" if len(fitting) > NODES_SHOWN else ""
        return f"find fit node({self.node}), {refused} nodes not fit, {len(fitting)} nodes fit({shown}{more})"


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """The decision for a pod that fits nowhere. ``verdicts`` hold why, per node."""

    verdicts: Mapping[str, Verdict]
    message: str


#: Nodes named with their score in an event, whose note holds 1 024 bytes.
NODES_SHOWN = 10


def schedule(pod: Pod, cluster: Cluster, now: float) -> Placement | Unschedulable:
    """Decide where a pod goes and which cards it gets.

    The caller reserves a placement in the ledger before it waits for anything. ``now`` is unix seconds.
    """
    try:
        demand = read_demand(
            pod, cluster.profiles, card_policy=cluster.policies.card, node_policy=cluster.policies.node
        )
    except InvalidRequest as error:
        return _everywhere(cluster, Refusal(Reason.INVALID_REQUEST, detail=str(error)))
    for refusal in pod_refusals(pod, cluster.around):
        return _everywhere(cluster, refusal)
    rooms = cluster.rooms(pod.key.namespace)
    entries = sorted(cluster.inventory, key=lambda entry: entry.node.name)
    verdicts = {entry.node.name: judge(pod, demand, entry, cluster, rooms, now) for entry in entries}
    return choose(verdicts, demand, cluster)


def choose(verdicts: Mapping[str, Verdict], demand: Demand, cluster: Cluster) -> Placement | Unschedulable:
    """The best of the nodes that fit: by score as the node policy says, then one that is not busy, then by name."""
    best: tuple[float, bool, str] | None = None
    sign = -1.0 if demand.node_policy == "binpack" else 1.0
    for name, verdict in verdicts.items():
        if verdict.allocation is not None:
            rank = (sign * verdict.score, name in cluster.busy, name)
            if best is None or rank < best:
                best = rank
    if best is None:
        refused = {name: verdict.refusals for name, verdict in verdicts.items()}
        return Unschedulable(verdicts, unschedulable_text(refused))
    chosen = verdicts[best[2]].allocation
    assert chosen is not None
    return Placement(best[2], chosen, verdicts)


def judge(
    pod: Pod, demand: Demand, entry: NodeDevices, cluster: Cluster, rooms: Mapping[str, Room], now: float
) -> Verdict:
    """What one node answers to one pod."""
    name = entry.node.name
    usage = cluster.ledger.usage(name)
    refusals = node_refusals(pod, entry.node, usage, cluster.around)
    if refusals:
        return Verdict(refusals=refusals)
    offer = Offer(entry, usage.cards, _refused_families(name, usage, cluster, now))
    answer = allocate(pod, demand, offer, rooms)
    if isinstance(answer, tuple):
        return Verdict(refusals=answer)
    return Verdict(_score(entry, usage, demand, answer), answer)


def _score(entry: NodeDevices, usage: NodeUsage, demand: Demand, allocation: Allocation) -> float:
    """Score before the placement over all cards of the node, and the families' own terms, signed by the policy."""
    cards = [device for devices in entry.devices.values() for device in devices]
    used: dict[str, Amounts] = {}
    for held in usage.cards.values():
        used.update(held)
    terms = 0.0
    for family in demand.families:
        devices = {device.uuid: device for device in entry.devices[family.profile.key]}
        given = [
            devices[share.card]
            for positions in (allocation.families[family.profile.key],)
            for shares in positions
            for share in shares
        ]
        terms += family.profile.hooks.node_score(entry.node, given, {})
    return node_score(cards, used) + (terms if demand.node_policy == "binpack" else -terms)


def _refused_families(node: str, usage: NodeUsage, cluster: Cluster, now: float) -> dict[str, Refusal]:
    """Families that take nothing new here: unknown usage, or a plugin that keeps failing."""
    refused = {
        family: Refusal(Reason.NODE_QUARANTINED, detail=problem) for family, problem in usage.quarantined().items()
    }
    for profile in cluster.profiles:
        until = cluster.failing.get((node, profile.key), 0.0)
        if until > now:
            text = f"{profile.key} allocations fail here, tried again in {int(until - now) + 1} s"
            refused.setdefault(profile.key, Refusal(Reason.NODE_ALLOCATE_FAILING, detail=text))
    return refused


def _everywhere(cluster: Cluster, refusal: Refusal) -> Unschedulable:
    verdicts = {entry.node.name: Verdict(refusals=(refusal,)) for entry in cluster.inventory}
    return Unschedulable(verdicts, str(refusal))


def binding_annotations(
    entry: NodeDevices, allocation: Allocation, profiles: Sequence[Profile], now: float
) -> dict[str, str]:
    """All annotations that a Binding carries: our record, the common keys, each family's."""
    seconds = str(int(now))
    written: dict[str, str] = {
        protocol.OWN_ALLOCATION: protocol.encode_allocation(allocation),
        protocol.POD_NODE: entry.node.name,
        protocol.POD_TIME: seconds,
        protocol.BIND_PHASE: protocol.Phase.ALLOCATING,
        protocol.BIND_TIME: seconds,
    }
    for profile in profiles:
        if profile.key in allocation.families:
            written |= profile.hooks.annotate(profile, entry.node, allocation, now)
    return written


def binding_labels(node: str) -> dict[str, str]:
    """The label that HAMi's monitor selects its pods by; left out where the node name is no label value."""
    return {protocol.POD_NODE: node} if len(node) <= LABEL_VALUE_LENGTH else {}


LABEL_VALUE_LENGTH = 63
