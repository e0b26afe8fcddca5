"""Answers for a scheduler that chooses the node itself: which nodes take a pod, how good each is, what one gives it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

from .cluster import Cluster
from .errors import InvalidRequest
from .inventory import Inventory, NodeDevices
from .kept import Kept, Verdict
from .model import Allocation, Node, Pod
from .reasons import Reason, Refusal
from .schedule import Placement, Unschedulable, Waits, ask, refresh, rooms_of, schedule
from .whatif import trial_of, trial_on

#: What a node answers that we have not heard of.
UNKNOWN = Verdict(refusals=(Refusal(Reason.NODE_UNREGISTERED, detail="the node is not known"),))

#: Marks are whole numbers from 0 to this (Kubernetes v1.37 kube-scheduler/extender/v1 MaxExtenderPriority).
BEST_MARK = 10

#: Marks of nodes that are not the best; the one between is for a best one that is busy.
OTHER_MARKS = 8


def verdicts(pod: Pod, decision: Placement | Unschedulable, cluster: Cluster, now: float) -> Mapping[str, Verdict]:
    """What every node answers to a pod that has just been decided, within the quotas of its namespace.

    The decision itself looks at as few nodes as it can where a quota speaks of the pod and the cards decide what it is
    charged; here every node is asked.
    """
    kept = decision.kept
    if isinstance(decision, Unschedulable) or not isinstance(kept, Kept) or kept.rooms:
        return kept.verdicts
    rooms = rooms_of(pod, kept, cluster)
    if not rooms:
        return kept.verdicts
    if cluster.quotas.surely_leave(pod, kept.certain) and not any(entry.cut for entry in cluster.inventory):
        return kept.verdicts
    bounded = cluster.kept_within(kept, pod, rooms)
    refresh(bounded, pod, cluster, now)
    return bounded.verdicts


def takes(found: Mapping[str, Verdict], names: Iterable[str]) -> bool:
    """Whether one of these nodes takes the pod that was answered so."""
    return any(name in found and found[name].fits for name in names)


def waits_among(pod: Pod, decision: Placement, offered: frozenset[str]) -> Waits:
    """What could help a pod that would be placed, but on none of the nodes that are offered to it.

    It waits with those that have the same nodes offered: what helps others need not help it.
    """
    return Waits((decision.kept, pod.traits, offered), namespace=pod.key.namespace)


def unfit_among(pod: Pod, decision: Placement, found: Mapping[str, Verdict], offered: frozenset[str]) -> Unschedulable:
    """The decision for such a pod: why each of the nodes that are offered to it does not take it."""
    kept = Kept(decision.kept.demand)
    for name in sorted(offered):
        kept.put(name, found.get(name, UNKNOWN))
    return Unschedulable(kept.sentence(), kept, waits_among(pod, decision, offered))


def marks(found: Mapping[str, Verdict], names: Iterable[str], sign: float) -> dict[str, int]:
    """How good nodes are, from 0 to ``BEST_MARK``; a node that does not take the pod is worth nothing.

    Those that we would choose first, by whichever of them, have the best mark, so that all else decides among equals.
    ``sign`` is that of the policy (``Kept.sign``).
    """
    result = dict.fromkeys(names, 0)
    ranks = {name: sign * found[name].score for name in result if name in found and found[name].fits}
    if ranks:
        best, worst = min(ranks.values()), max(ranks.values())
        for name, rank in ranks.items():
            if rank == best:
                result[name] = BEST_MARK - found[name].busy
            else:
                result[name] = int(OTHER_MARKS * (worst - rank) / (worst - best))
    return result


def choose(pod: Pod, node: str, cluster: Cluster, now: float) -> Placement | tuple[Refusal, ...]:
    """What one node gives the pod, or why it does not take it. The caller reserves it before it waits for anything."""
    cluster.look_at_links()
    if cluster.inventory.get(node) is None:
        return UNKNOWN.refusals
    for refusal in cluster.node_fit.pod(pod, cluster.around):
        return (refusal,)
    try:
        kept = cluster.kept(pod)
    except InvalidRequest as error:
        return (Refusal(Reason.INVALID_REQUEST, detail=str(error)),)
    answer = ask(pod, Kept(kept.demand, rooms_of(pod, kept, cluster)), node, cluster, now)
    if not isinstance(answer, Allocation):
        return answer
    refresh(kept, pod, cluster, now)
    return Placement(node, answer, kept)


def try_on(pod: Pod, nodes: Iterable[Node], cluster: Cluster, now: float) -> dict[str, tuple[Refusal, ...]]:
    """Why each of these nodes, as they are given, would not take the pod (none: it would). Nothing remains of it.

    A node of a name that is known is used as that one is; one that is not known is empty.
    """
    cluster.look_at_links()
    inventory = Inventory(cluster.profiles)
    for node in nodes:
        inventory.update(node)
    entries: list[NodeDevices] = list(inventory)
    trial = trial_on(cluster, entries, pod.key.namespace, now)
    result: dict[str, tuple[Refusal, ...]] = {}
    for entry in entries:
        name = entry.node.name
        try:
            answer = trial.answer(pod, name)
        except InvalidRequest as error:
            answer = (Refusal(Reason.INVALID_REQUEST, detail=str(error)),)
        result[name] = () if isinstance(answer, Allocation) else answer
    return result


def fits_without(pod: Pod, node: str, victims: Iterable[str], cluster: Cluster, now: float) -> bool:
    """Whether the node takes the pod once the pods of these uids have left it; one that we don't know does not."""
    if cluster.inventory.get(node) is None:
        return False
    trial = trial_of(cluster, [node], pod.key.namespace, now)
    with contextlib.ExitStack() as gone:
        for uid in trial.holders.usage(node).pods.keys() & set(victims):
            gone.enter_context(trial.holders.without(uid))
        return trial.takes(pod, node)


def decide(pod: Pod, cluster: Cluster, now: float) -> tuple[Placement | Unschedulable, Mapping[str, Verdict]]:
    """Where we would put the pod, and what every node answers."""
    decision = schedule(pod, cluster, now)
    return decision, verdicts(pod, decision, cluster, now)
