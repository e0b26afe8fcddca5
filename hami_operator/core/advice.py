"""What would let a waiting pod start: found by deciding anew on a world that differs in one thing, never guessed.

Works on a cluster of one's own (``explain`` reads one), since pods are taken out of it and put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .cluster import Cluster
from .errors import InvalidRequest
from .kept import Kept
from .model import Allocation, Container, Pod, Toleration
from .quantity import parse_quantity
from .reasons import Reason
from .record import PodRecord
from .schedule import Placement, ask, schedule
from .vendor import Profile

#: Nodes whose cards are tried with less memory, and pods that are thought away, at most: answers must come at once.
NODES_TRIED, PODS_TRIED = 5, 400

_ROOM = frozenset(
    {
        Reason.CARD_INSUFFICIENT_MEMORY,
        Reason.CARD_INSUFFICIENT_CORE,
        Reason.CARD_TIME_SLICING_EXHAUSTED,
        Reason.CARD_COMPUTE_UNITS_EXHAUSTED,
        Reason.EXCLUSIVE_CONFLICT,
        Reason.ALLOCATED_CARDS_INSUFFICIENT,
        Reason.NUMA_NOT_FIT,
        Reason.INSUFFICIENT_CPU,
        Reason.INSUFFICIENT_MEMORY,
        Reason.INSUFFICIENT_EXTENDED_RESOURCE,
        Reason.TOO_MANY_PODS,
    }
)


def advise(pod: Pod, cluster: Cluster, now: float) -> list[str]:
    """Sentences such as ``fits on n7 with nvidia.com/gpumem 11264 or less``; none when nothing simple would do."""
    decision = schedule(pod, cluster, now)
    if isinstance(decision, Placement):
        return []
    verdicts = decision.kept.verdicts
    refused = {name: {refusal.reason for refusal in verdict.refusals} for name, verdict in verdicts.items()}
    nodes = sorted((name for name, reasons in refused.items() if reasons <= _ROOM), key=lambda n: (len(refused[n]), n))
    return [
        *_with_less_memory(pod, nodes, cluster, now),
        *_when_a_pod_ends(pod, nodes, cluster, now),
        *_without_a_constraint(pod, cluster, now),
    ]


# -- less memory -------------------------------------------------------------------------------------------------


def _with_less_memory(pod: Pod, nodes: Sequence[str], cluster: Cluster, now: float) -> Iterator[str]:
    """The most memory with which some node takes the pod, where one container asks for an amount of it."""
    for profile in cluster.profiles:
        resource = profile.names.memory
        asking = [container for container in pod.containers if resource and resource in container.limits]
        if len(asking) != 1:
            continue
        asked = parse_quantity(asking[0].limits[resource]).whole or 0
        found = max(
            ((_most(pod, profile, asking[0], asked, name, cluster, now), name) for name in nodes[:NODES_TRIED]),
            default=(0, ""),
            key=lambda item: (item[0], item[1]),
        )
        if found[0]:
            yield f"fits on {found[1]} with {resource} {found[0]} or less"


def _most(pod: Pod, profile: Profile, container: Container, asked: int, node: str, cluster: Cluster, now: float) -> int:
    """The largest amount below ``asked`` with which the node takes the pod; 0 when there is none."""
    least, most = 0, asked
    while most - least > 1:
        middle = (least + most) // 2
        if _takes(_resized(pod, container, profile.names.memory, middle), node, cluster, now):
            least = middle
        else:
            most = middle
    return least


def _resized(pod: Pod, container: Container, resource: str, amount: int) -> Pod:
    amounts = {resource: str(amount)}
    smaller = replace(container, limits={**container.limits, **amounts}, requests={**container.requests, **amounts})
    resources = replace(pod.resources, extended={**pod.resources.extended, resource: amount})
    containers = tuple(smaller if one is container else one for one in pod.containers)
    return replace(pod, containers=containers, resources=resources)


def _takes(pod: Pod, node: str, cluster: Cluster, now: float) -> bool:
    try:
        kept = Kept(cluster.demand_of(pod))
    except InvalidRequest:
        return False
    return isinstance(ask(pod, kept, node, cluster, now), Allocation)


# -- pods that end -----------------------------------------------------------------------------------------------


def _when_a_pod_ends(pod: Pod, nodes: Sequence[str], cluster: Cluster, now: float) -> Iterator[str]:
    """The smallest pod whose end alone would let this one start."""
    tried = 0
    for name in nodes:
        records = sorted(cluster.ledger.usage(name).pods.values(), key=_weight)
        for record in records:
            if tried == PODS_TRIED:
                return
            tried += 1
            with cluster.ledger.without(record.key.uid):
                fits = isinstance(schedule(pod, cluster, now), Placement)
            if fits:
                yield f"fits when {record.key} ends (on {name})"
                return


def _weight(record: PodRecord) -> tuple[int, str]:
    held = sum(amounts.memory_mib for cards in record.held.values() for amounts in cards.values())
    return held, str(record.key)


# -- constraints -------------------------------------------------------------------------------------------------


def _without_a_constraint(pod: Pod, cluster: Cluster, now: float) -> Iterator[str]:
    """Which one of the pod's demands on a node stands in its way."""
    constraints = pod.constraints
    for node_name, tolerations in _untolerated(pod, cluster):
        eased = replace(pod, constraints=replace(constraints, tolerations=(*constraints.tolerations, *tolerations)))
        if _takes(eased, node_name, cluster, now):
            words = ", ".join(f"{t.key}{'=' if t.value else ''}{t.value}:{t.effect}" for t in tolerations)
            yield f"fits on {node_name} with a toleration for {words}"
            break
    for field, eased_constraints in (
        ("spec.nodeSelector", replace(constraints, node_selector=())),
        ("spec.affinity.nodeAffinity", replace(constraints, affinity_terms=None)),
    ):
        if eased_constraints != constraints:
            decision = schedule(replace(pod, constraints=eased_constraints), cluster, now)
            if isinstance(decision, Placement):
                yield f"fits on {decision.node} without {field}"


def _untolerated(pod: Pod, cluster: Cluster) -> Iterator[tuple[str, tuple[Toleration, ...]]]:
    """Nodes with hard taints, and the tolerations for all of these."""
    for entry in sorted(cluster.inventory, key=lambda entry: entry.node.name)[:PODS_TRIED]:
        hard = [taint for taint in entry.node.taints if taint.effect in ("NoSchedule", "NoExecute")]
        if hard:
            yield entry.node.name, tuple(Toleration(t.key, "Equal", t.value, t.effect) for t in hard)
