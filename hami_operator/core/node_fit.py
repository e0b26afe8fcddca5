"""What kube-scheduler would ask of a node beside its cards. What we can't judge is named, never passed in silence.

Rules: Kubernetes v1.37 pkg/scheduler/framework/plugins (nodeaffinity, tainttoleration, noderesources, nodeports,
volumebinding, interpodaffinity), as far as one node and its own pods decide them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .model import AntiAffinity, LabelSelector, Node, Pod, Requirement, Resources, SelectorTerm, Taint, Toleration
from .reasons import Reason, Refusal
from .record import NodeUsage

HOSTNAME = "kubernetes.io/hostname"
_UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim: whether it is bound, and the node terms of its volume (None = any node)."""

    bound: bool
    terms: tuple[SelectorTerm, ...] | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What ``node_fit`` needs beside pod and node.

    ``reserve`` is left free on every node (kube-scheduler may be placing pods there at the same moment).
    ``claims`` are by (namespace, name).
    """

    reserve: Resources = Resources()
    claims: dict[tuple[str, str], Claim] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NodeFit:
    """Who judges what beside cards, and how far: of the pod as it is, and of a pod on a node."""

    pod: Callable[[Pod, Surroundings], tuple[Refusal, ...]]
    node: Callable[[Pod, Node, NodeUsage, Surroundings], tuple[Refusal, ...]]


def pod_refusals(pod: Pod, around: Surroundings) -> tuple[Refusal, ...]:
    """Reasons that hold on every node: constraints that we don't judge, gates, claims that are not bound."""
    refusals = [Refusal(Reason.UNSUPPORTED_CONSTRAINT, detail=f"{f} needs the extender mode") for f in _fields(pod)]
    for name in pod.constraints.claims:
        claim = around.claims.get((pod.key.namespace, name))
        if claim is None or not claim.bound:
            text = f"spec.volumes: claim {name!r} is not bound; unbound claims need the extender mode"
            refusals.append(Refusal(Reason.UNSUPPORTED_CONSTRAINT, detail=text))
    return tuple(refusals)


def _fields(pod: Pod) -> Iterable[str]:
    yield from pod.constraints.unsupported
    known = {"", "Equal", "Exists"}
    for toleration in pod.constraints.tolerations:
        if toleration.operator not in known:
            yield f"spec.tolerations.operator {toleration.operator}"


def node_refusals(pod: Pod, node: Node, usage: NodeUsage, around: Surroundings) -> tuple[Refusal, ...]:
    """Why the node can't take the pod, cards aside; empty when it can. All reasons are listed, not only the first."""
    tests: Sequence[Refusal | None] = (
        None if node.ready else Refusal(Reason.NODE_NOT_READY),
        _cordoned(pod, node),
        _selector(pod, node),
        _affinity(pod, node),
        _taints(pod, node),
        _ports(pod, usage),
        _volumes(pod, node, around),
        _anti_affinity(pod, usage),
        *_amounts(pod.resources, node, usage, around.reserve),
    )
    return tuple(refusal for refusal in tests if refusal is not None)


# -- labels and taints -------------------------------------------------------------------------------------------


def _cordoned(pod: Pod, node: Node) -> Refusal | None:
    if not node.unschedulable or any(_tolerates(each, _UNSCHEDULABLE) for each in pod.constraints.tolerations):
        return None
    return Refusal(Reason.NODE_UNSCHEDULABLE)


def _selector(pod: Pod, node: Node) -> Refusal | None:
    for key, value in pod.constraints.node_selector:
        if node.labels.get(key) != value:
            return Refusal(Reason.NODE_SELECTOR_MISMATCH, detail=f"spec.nodeSelector {key}={value}")
    return None


def _affinity(pod: Pod, node: Node) -> Refusal | None:
    terms = pod.constraints.affinity_terms
    return None if terms is None or matches_any(terms, node) else Refusal(Reason.NODE_AFFINITY_MISMATCH)


def matches_any(terms: Iterable[SelectorTerm], node: Node) -> bool:
    """Whether one term matches the node; an empty term matches nothing."""
    fields = {"metadata.name": node.name}
    return any(
        (term.expressions or term.fields)
        and all(_holds(requirement, node.labels) for requirement in term.expressions)
        and all(_holds(requirement, fields) for requirement in term.fields)
        for term in terms
    )


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    return requirement.operator in _OPERATORS and _OPERATORS[requirement.operator](value, requirement.values)


def _compare(value: str | None, values: Sequence[str], wanted: Callable[[int, int], bool]) -> bool:
    try:
        return value is not None and len(values) == 1 and wanted(int(value), int(values[0]))
    except ValueError:
        return False


_OPERATORS: Mapping[str, Callable[[str | None, Sequence[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
    "Gt": lambda value, values: _compare(value, values, int.__gt__),
    "Lt": lambda value, values: _compare(value, values, int.__lt__),
}


def _taints(pod: Pod, node: Node) -> Refusal | None:
    for taint in node.taints:
        hard = taint.effect in ("NoSchedule", "NoExecute")
        if hard and not any(_tolerates(toleration, taint) for toleration in pod.constraints.tolerations):
            text = f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
            return Refusal(Reason.TAINT_NOT_TOLERATED, detail=text)
    return None


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    return toleration.operator == "Exists" or (bool(toleration.key) and toleration.value == taint.value)


# -- what other pods of the node hold ----------------------------------------------------------------------------

_ANY_ADDRESS = ("0.0.0.0", "::", "")


def _ports(pod: Pod, usage: NodeUsage) -> Refusal | None:
    for address, protocol, port in sorted(pod.constraints.host_ports):
        for record in usage.pods.values():
            for other, other_protocol, other_port in record.host_ports:
                same = (other_protocol, other_port) == (protocol, port)
                if same and (other == address or other in _ANY_ADDRESS or address in _ANY_ADDRESS):
                    return Refusal(Reason.HOST_PORT_CONFLICT, detail=f"hostPort {port}/{protocol}")
    return None


def _volumes(pod: Pod, node: Node, around: Surroundings) -> Refusal | None:
    for name in pod.constraints.claims:
        claim = around.claims.get((pod.key.namespace, name))
        if claim is not None and claim.terms is not None and not matches_any(claim.terms, node):
            return Refusal(Reason.VOLUME_NODE_CONFLICT, detail=f"claim {name!r}")
    return None


def _anti_affinity(pod: Pod, usage: NodeUsage) -> Refusal | None:
    for record in usage.pods.values():
        for term in record.anti_affinity:
            if _avoids(term, record.key.namespace, pod):
                if term.topology_key == HOSTNAME:
                    return Refusal(Reason.POD_ANTI_AFFINITY, detail=f"pod {record.key}")
                text = f"pod {record.key} keeps away by {term.topology_key}, which needs the extender mode"
                return Refusal(Reason.UNSUPPORTED_CONSTRAINT, detail=text)
    return None


def _avoids(term: AntiAffinity, own_namespace: str, pod: Pod) -> bool:
    namespaces = term.namespaces or {own_namespace}
    in_scope = "*" in namespaces or pod.key.namespace in namespaces
    return in_scope and term.selector is not None and selects(term.selector, pod.labels)


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches."""
    return all(labels.get(key) == value for key, value in selector.labels) and all(
        _holds(requirement, labels) for requirement in selector.expressions
    )


# -- amounts -----------------------------------------------------------------------------------------------------


def _amounts(asked: Resources, node: Node, usage: NodeUsage, reserve: Resources) -> Iterable[Refusal]:
    """cpu, memory, ephemeral storage, pods, and every extended resource that the node advertises.

    Names the node does not advertise are skipped, as the kubelet drops them too; a node whose object says nothing of
    its amounts is not limited by them.
    """
    have = node.allocatable
    if have is None:
        return
    yield from _short(Reason.INSUFFICIENT_CPU, asked.cpu_milli, usage.cpu_milli, have.cpu_milli - reserve.cpu_milli)
    memory = have.memory_bytes - reserve.memory_bytes
    yield from _short(Reason.INSUFFICIENT_MEMORY, asked.memory_bytes, usage.memory_bytes, memory)
    storage = Reason.INSUFFICIENT_EPHEMERAL_STORAGE
    yield from _short(storage, asked.ephemeral_bytes, usage.ephemeral_bytes, have.ephemeral_bytes)
    if have.pods:
        yield from _short(Reason.TOO_MANY_PODS, asked.pods, len(usage.pods), have.pods)
    yield from _extended(asked, usage, have)


def _extended(asked: Resources, usage: NodeUsage, have: Resources) -> Iterable[Refusal]:
    for name in sorted(asked.extended.keys() & have.extended.keys()):
        used = usage.extended.get(name, 0)
        for refusal in _short(Reason.INSUFFICIENT_EXTENDED_RESOURCE, asked.extended[name], used, have.extended[name]):
            yield Refusal(refusal.reason, detail=f"{name}: {refusal.detail}")


def _short(reason: Reason, asked: int, used: int, total: int) -> Iterable[Refusal]:
    if asked and asked > total - used:
        yield Refusal(reason, detail=f"asked {asked}, free {max(total - used, 0)} of {total}")


# -- who judges --------------------------------------------------------------------------------------------------


def _judged_elsewhere(_: Pod, __: Surroundings) -> tuple[Refusal, ...]:
    return ()


def extended_refusals(pod: Pod, node: Node, usage: NodeUsage, _: Surroundings) -> tuple[Refusal, ...]:
    """The part of ``node_refusals`` that kube-scheduler leaves to an extender, amounts of the managed resources; those
    of other extended resources are looked at as well, by both."""
    return tuple(_extended(pod.resources, usage, node.allocatable)) if node.allocatable is not None else ()


def _known_refusals(pod: Pod, node: Node, usage: NodeUsage, around: Surroundings) -> tuple[Refusal, ...]:
    refusals = node_refusals(pod, node, usage, replace(around, reserve=Resources()))
    return tuple(refusal for refusal in refusals if refusal.reason is not Reason.UNSUPPORTED_CONSTRAINT)


#: We are the scheduler. / kube-scheduler is, and asks us. / It is, and we say what we know of its judgement as well.
OURS = NodeFit(pod_refusals, node_refusals)
KUBE_SCHEDULERS = NodeFit(_judged_elsewhere, extended_refusals)
FOR_PEOPLE = NodeFit(_judged_elsewhere, _known_refusals)
