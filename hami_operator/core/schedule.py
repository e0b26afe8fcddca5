"""One decision: quota, node, cards, scores; the best node, or why each node refuses. No wait, no clock, no writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .allocate import Demand, Offer, allocate
from .certain import at_least
from .cluster import Cluster
from .errors import InvalidRequest
from .inventory import NodeDevices
from .kept import Blanket, Kept, Verdict
from .model import Allocation, Pod
from .quota import QuotaId
from .quotabook import Rooms, charged
from .reasons import Reason, Refusal
from .record import NodeUsage
from .score import node_score
from .vendor import NOTHING, Amounts, CardPolicy, Outlook, Witness, no_score


@dataclass(frozen=True, slots=True)
class Placement:
    """The decision for a pod that fits."""

    node: str
    allocation: Allocation
    kept: Kept

    @property
    def message(self) -> str:
        """The sentence of the event, in the words of HAMi v2.7.0 pkg/scheduler/scheduler.go."""
        kept = self.kept
        leading = kept.leading(NODES_SHOWN)
        shown = ",".join(f"{name}:{score:.2f}" for name, score in reversed(leading))
        more = f",and {kept.fitting - len(leading)} more" if kept.fitting > len(leading) else ""
        refused = len(kept.verdicts) - kept.fitting
        return f"find fit node({self.node}), {refused} nodes not fit, {kept.fitting} nodes fit({shown}{more})"


@dataclass(frozen=True, slots=True)
class Blocked:
    """A quota object that keeps a pod waiting: what the pod asks of it, by key in the key's unit."""

    quota: QuotaId
    asked: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Waits:
    """What could help a pod that fits nowhere. ``asking``: equal for those who are answered alike.

    ``nodes``: a change of nodes or of what is used of them; ``namespace``: one of its quotas or of what they have left
    (empty: it has none).
    """

    asking: object
    nodes: bool = True
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """The decision for a pod that fits nowhere. ``kept`` holds why, per node; ``blocked`` the quotas that refuse it."""

    message: str
    kept: Kept | Blanket
    waits: Waits
    blocked: tuple[Blocked, ...] = ()


#: Nodes named with their score in an event, whose note holds 1 024 bytes.
NODES_SHOWN = 10


def schedule(pod: Pod, cluster: Cluster, now: float) -> Placement | Unschedulable:
    """Decide where a pod goes and which cards it gets.

    The caller reserves a placement in the ledger before it waits for anything. ``now`` is unix seconds. What the
    decision holds of the nodes' verdicts is to be read before the next one.
    """
    cluster.look_at_links()
    for refusal in cluster.node_fit.pod(pod, cluster.around):
        return _everywhere(pod, cluster, refusal)
    try:
        kept = cluster.kept(pod)
    except InvalidRequest as error:
        return _everywhere(pod, cluster, Refusal(Reason.INVALID_REQUEST, detail=str(error)))
    if not cluster.quotas.surely_leave(pod, kept.certain):
        return _under_quota(pod, kept, rooms_of(pod, kept, cluster), cluster, now)
    best = _best(pod, kept, cluster, now)
    if best is None:
        return Unschedulable(kept.sentence(), kept, Waits(kept))
    if cluster.quotas.of(pod.key.namespace) and _in_parts(best, cluster):
        # a part is charged, not what was asked for
        return _under_quota(pod, kept, rooms_of(pod, kept, cluster), cluster, now)
    return best


def _in_parts(best: Placement, cluster: Cluster) -> bool:
    """Whether some card is cut for the pod."""
    entry = cluster.inventory.get(best.node)
    return entry is not None and entry.cut and any(share.place for _, _, share in best.allocation.shares())


def rooms_of(pod: Pod, kept: Kept, cluster: Cluster) -> Rooms:
    """What quotas leave the pod of the families that it asks for."""
    found = cluster.quotas.rooms(pod)
    return {family: found[family] for family in kept.certain if family in found}


def _best(pod: Pod, kept: Kept, cluster: Cluster, now: float) -> Placement | None:
    """The best node by verdicts that are brought up to date."""
    refresh(kept, pod, cluster, now)
    name = kept.best()
    if name is None:
        return None
    answer = kept.allocations.get(name) or ask(pod, kept, name, cluster, now)
    if not isinstance(answer, Allocation):
        raise AssertionError(f"node {name} was kept as fitting {pod.key} and answers {answer}")
    return Placement(name, answer, kept)


# -- under quota -------------------------------------------------------------------------------------------------


def _under_quota(pod: Pod, kept: Kept, rooms: Rooms, cluster: Cluster, now: float) -> Placement | Unschedulable:
    """The decision where quotas speak of the pod.

    What is charged whichever cards it gets is compared first, before any node is looked at. Where the cards decide,
    the node that would be best without quotas is asked what it has within them; only where that is nothing, every node
    is asked so.
    """
    alike = Waits((kept, pod.traits), namespace=pod.key.namespace)
    for family, room in rooms.items():
        least = at_least(kept.certain[family])
        if not room.allows(least):
            refusal = Refusal(Reason.RESOURCE_QUOTA_NOT_FIT, detail=room.sentence(least))
            blanket = Blanket(kept.demand, refusal, cluster.inventory)
            return Unschedulable(str(refusal), blanket, replace(alike, nodes=False), _blocked({family: least}, rooms))
    best = _best(pod, kept, cluster, now)
    if best is None:
        return Unschedulable(kept.sentence(), kept, Waits(kept))
    charges = charged(cluster.ledger.held_by(pod, best.allocation))
    if _within(charges, rooms):
        return best
    frugal = ask(pod, Kept(kept.demand, rooms), best.node, cluster, now)
    if isinstance(frugal, Allocation):
        return replace(best, allocation=frugal)
    bounded = cluster.kept_within(kept, pod, rooms)
    found = _best(pod, bounded, cluster, now)
    return found or Unschedulable(bounded.sentence(), bounded, alike, _blocked(charges, rooms))


def _within(charges: Mapping[str, Amounts], rooms: Rooms) -> bool:
    return all(room.allows(charges.get(family, NOTHING)) for family, room in rooms.items())


def _blocked(charges: Mapping[str, Amounts], rooms: Rooms) -> tuple[Blocked, ...]:
    """The objects that refuse these charges, each with all that is asked of it."""
    asked: dict[QuotaId, dict[str, str]] = {}
    for family, charge in charges.items():
        for allowance in rooms[family].refusing(charge) if family in rooms else ():
            key = allowance.key
            asked.setdefault(allowance.quota, {})[key.text] = key.shown(charge[key.part])
    return tuple(Blocked(quota, amounts) for quota, amounts in asked.items())


def refresh(kept: Kept, pod: Pod, cluster: Cluster, now: float) -> None:
    """Ask those nodes again that changed since this shape last looked; all of them the first time."""
    changed = cluster.journal.since(kept.position) if kept.position >= 0 else None
    if changed is None:
        changed = {entry.node.name for entry in cluster.inventory} | kept.verdicts.keys()
    for name in changed:
        kept.allocations.pop(name, None)
        kept.put(name, _judge(kept, pod, name, cluster, now))
    kept.position = cluster.journal.position


def _judge(kept: Kept, pod: Pod, name: str, cluster: Cluster, now: float) -> Verdict | None:
    """What one node answers now; None when there is no such node."""
    entry = cluster.inventory.get(name)
    if entry is None:
        return None
    answer = ask(pod, kept, name, cluster, now)
    if isinstance(answer, tuple):
        return Verdict(refusals=answer)
    kept.keep(name, answer)
    score = _score(pod, entry, cluster.ledger.usage(name), kept.demand, answer)
    return Verdict(score, busy=name in cluster.busy)


def ask(
    pod: Pod, kept: Kept | Blanket, name: str, cluster: Cluster, now: float, witness: Witness | None = None
) -> Allocation | tuple[Refusal, ...]:
    """What a node that we know would give the pod, or why it does not take it; a witness is told of its cards."""
    demand, rooms = kept.demand, kept.rooms
    entry = cluster.inventory.get(name)
    if entry is None:
        raise AssertionError(f"node {name} was kept and is gone")
    usage = cluster.ledger.usage(name)
    refusals = cluster.node_fit.node(pod, entry.node, usage, cluster.around)
    if refusals:
        return refusals
    refused = _refused_families(name, demand, usage, cluster, now)
    offer = Offer(entry, usage.cards, refused, usage.tenants, cluster.reach)
    answer = allocate(pod, demand, offer, rooms, witness)
    if rooms and isinstance(answer, Allocation):
        return _recounted(pod, answer, rooms, cluster)
    return answer


def _recounted(pod: Pod, answer: Allocation, rooms: Rooms, cluster: Cluster) -> Allocation | tuple[Refusal, ...]:
    """What a family records may be more than what it charged (a MIG slot): what is recorded counts."""
    charges = charged(cluster.ledger.held_by(pod, answer))
    if _within(charges, rooms):
        return answer
    texts = (room.sentence(charges.get(family, NOTHING), "here ") for family, room in rooms.items())
    return (Refusal(Reason.RESOURCE_QUOTA_NOT_FIT, detail=next(filter(None, texts), "")),)


def _score(pod: Pod, entry: NodeDevices, usage: NodeUsage, demand: Demand, allocation: Allocation) -> float:
    """Score before the placement over all cards of the node, and the families' own terms, signed by the policy."""
    terms = 0.0
    for family in demand.families:
        profile = family.profile
        if profile.hooks.node_score is not no_score:
            devices = {device.uuid: device for device in entry.devices[profile.key]}
            held, given = usage.cards.get(profile.key, {}), allocation.families[profile.key]
            tenants = usage.tenants.get(profile.key, {})
            policies = demand.node_policy, demand.card_policy
            outlook = Outlook(pod, entry.node, policies[0], devices, held, given, tenants, policies[1])
            terms += profile.hooks.node_score(outlook)
    families = [(devices, usage.cards.get(key, {})) for key, devices in entry.devices.items()]
    return node_score(families) + (terms if demand.node_policy == "binpack" else -terms)


def _refused_families(node: str, demand: Demand, usage: NodeUsage, cluster: Cluster, now: float) -> dict[str, Refusal]:
    """Families that take nothing new here: unknown usage, or a plugin that keeps failing."""
    refused = {
        family: Refusal(Reason.NODE_QUARANTINED, detail=problem) for family, problem in usage.quarantined().items()
    }
    for key in (family.profile.key for family in demand.families):
        if cluster.failing.active((node, key), now):
            text = f"{key} allocations have failed there, it is left alone for a while"
            refused.setdefault(key, Refusal(Reason.NODE_ALLOCATE_FAILING, detail=text))
    return refused


def _everywhere(pod: Pod, cluster: Cluster, refusal: Refusal) -> Unschedulable:
    kinds = tuple(container.kind for container in pod.containers)
    blanket = Blanket(Demand(kinds, (), CardPolicy(), cluster.policies.node), refusal, cluster.inventory)
    return Unschedulable(str(refusal), blanket, Waits(blanket))
