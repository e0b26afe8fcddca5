"""What would let a waiting pod start: found by deciding anew on a world that differs in one thing, never guessed.

The cluster is left as it is: what if is asked of a copy of a few nodes (``whatif``). How much is asked is bounded, so
the nearest miss of a large cluster is the nearest of those that look nearest.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

from .cluster import Cluster
from .model import Allocation, Constraints, Container, Pod, Toleration
from .nearest import Case, finding
from .node_fit import node_refusals
from .quantity import parse_quantity
from .quota import Limit, Quota
from .quotabook import allowances, charged
from .record import PodRecord
from .schedule import Placement, schedule
from .vendor import NOTHING, Profile
from .whatif import resized, weight

#: Pods of a node or namespace that are thought away; sentences about such pods.
PODS_TRIED, MOST_SAID = 60, 3

#: Taints that tell of a state of the node: no toleration is of use there.
_OF_STATE = "node.kubernetes.io/"


def advise(pod: Pod, cluster: Cluster, now: float) -> list[str]:
    """Sentences such as ``fits on n7 with nvidia.com/gpumem 11264 or less``; none when nothing simple would do."""
    return [sentence for sentence in advising(pod, cluster, now) if sentence is not None]


def advising(pod: Pod, cluster: Cluster, now: float) -> Generator[str | None, None, None]:
    """The same step by step: None wherever the caller may turn to something else, also to change the cluster."""
    decision = schedule(pod, cluster, now)
    if isinstance(decision, Placement):
        return
    case = yield from finding(pod, decision, cluster, now)
    yield None
    yield from _with_less(case)
    yield from _with_fewer(case)
    yield from _with_more_quota(case)
    yield from _when_a_pod_ends(case)
    yield from _with_a_toleration(case)
    yield from _without_a_constraint(case)
    yield from _without_an_annotation(case)


# -- less --------------------------------------------------------------------------------------------------------


def _with_less(case: Case) -> Generator[str | None, None, None]:
    """The most of an amount with which some node takes the pod, where one container asks for it."""
    for profile in case.families:
        names = profile.names
        for resource in filter(None, (names.memory, names.memory_percent, names.cores)):
            container = case.asking(resource)
            if container is None:
                continue
            best, where = 0, ""
            for node in case.short:
                amount = yield from _most(case, container, profile, resource, node)
                if amount > best:
                    best, where = amount, node
            if best:
                yield f"fits on {where} with {resource} {best} or less"


def _most(case: Case, container: Container, profile: Profile, resource: str, node: str) -> Generator[None, None, int]:
    """The largest amount below what is asked with which the node takes the pod; 0 when there is none."""
    least, most = 0, _asked(container, resource)
    while most - least > 1:
        middle = (least + most) // 2
        smaller = resized(case.pod, container, profile, resource, middle)
        if smaller is not None and case.trial.takes(smaller, node):
            least = middle
        else:
            most = middle
        yield
    return least


def _asked(container: Container, resource: str) -> int:
    return parse_quantity(container.limits[resource]).whole or 0


def _with_fewer(case: Case) -> Iterator[str | None]:
    """The largest count of cards with which some node takes the pod. Not every smaller one need do: no "or less"."""
    for profile in case.families:
        container = case.asking(profile.names.count)
        for count in range(min(_asked(container, profile.names.count), 17) - 1, 0, -1) if container else ():
            fewer = resized(case.pod, container, profile, profile.names.count, count) if container else None
            node = next((n for n in case.short if fewer is not None and case.trial.takes(fewer, n)), None)
            yield None
            if node is not None:
                yield f"fits on {node} with {profile.names.count} {count}"
                break


# -- quotas ------------------------------------------------------------------------------------------------------


def _with_more_quota(case: Case) -> Iterator[str | None]:
    """How much more the quotas of the namespace would have to give, on the node where that is least."""
    book, pod = case.trial.part.quotas, case.pod
    quotas = [quota for quota in book.of(pod.key.namespace) if quota.covers(pod.traits)]
    least: tuple[int, list[Quota]] | None = None
    for node in case.short if quotas else ():
        with case.trial.under([replace(quota, limits=()) for quota in quotas]):
            given = case.trial.given(pod, node)
        if given is not None:
            raised = [_raised(case, quota, given) for quota in quotas]
            with case.trial.under(raised):
                fits = case.trial.takes(pod, node)
            more = sum(limit.hard for quota in raised for limit in quota.limits)
            if fits and (least is None or more < least[0]):
                least = more, raised
        yield None
    told = [_more(*pair) for pair in zip(quotas, least[1], strict=True)] if least is not None else []
    if any(told):
        yield f"fits when {' and '.join(filter(None, told))}"


def _raised(case: Case, quota: Quota, given: Allocation) -> Quota:
    """The quota with just as much more as the pod lacks with this allocation."""
    holders = case.trial.holders
    charges, names = charged(holders.held_by(case.pod, given)), holders.asked(case.pod)
    records = holders.space(quota.id.namespace).pods.values()
    limits: list[Limit] = []
    for limit, allowance in zip(quota.limits, allowances(quota, records), strict=True):
        key, charge = limit.key, charges.get(limit.key.family, NOTHING)
        free = allowance.permits(charge) or (key.asked_as and key.asked_as not in names)
        lacks = 0 if free else allowance.used + charge[key.part] - limit.hard
        limits.append(replace(limit, hard=limit.hard + key.unit_mib * -(-lacks // key.unit_mib)))
    return replace(quota, limits=tuple(limits))


def _more(before: Quota, raised: Quota) -> str:
    amounts = [
        f"{limit.key.text} {limit.key.shown(limit.hard - old.hard)} more"
        for old, limit in zip(before.limits, raised.limits, strict=True)
        if limit.hard > old.hard
    ]
    return f"quota {before.id} gets {', '.join(amounts)}" if amounts else ""


# -- pods that end -----------------------------------------------------------------------------------------------


def _when_a_pod_ends(case: Case) -> Iterator[str | None]:
    """The smallest pods whose end alone would let this one start: of a node, or of its namespace's quota."""
    said, holders = 0, case.trial.holders
    keys = {profile.key for profile in case.families}
    for node in case.short:
        for record in _smallest(holders.usage(node).pods.values(), keys):
            with holders.without(record.key.uid):
                fits = case.trial.takes(case.pod, node)
            yield None
            if fits:
                yield f"fits when {record.key} ends (on {record.node})"
                said += 1
                break
        if said == MOST_SAID:
            return
    for record in _smallest(holders.space(case.pod.key.namespace).pods.values(), keys) if not said else ():
        with holders.without(record.key.uid):
            fits = any(case.trial.takes(case.pod, node) for node in case.short)
        yield None
        if fits:
            yield f"fits when {record.key} ends (on {record.node})"
            return


def _smallest(records: Iterable[PodRecord], families: set[str]) -> list[PodRecord]:
    """Those that hold something of these families first, the smaller before the larger."""
    ordered = sorted(records, key=lambda record: (families.isdisjoint(record.held), weight(record)))
    return ordered[:PODS_TRIED]


# -- constraints -------------------------------------------------------------------------------------------------


def _with_a_toleration(case: Case) -> Iterator[str | None]:
    """The tolerations for which some node would take the pod."""
    for node in case.tainted:
        entry = case.trial.part.inventory.get(node)
        hard = [t for t in entry.node.taints if t.effect in ("NoSchedule", "NoExecute")] if entry is not None else []
        if any(taint.key.startswith(_OF_STATE) for taint in hard):
            continue
        tolerations = [Toleration(taint.key, "Equal", taint.value, taint.effect) for taint in hard]
        needed = [one for one in tolerations if _needed(case, node, one, tolerations)]
        fits = case.trial.takes(_tolerating(case.pod, needed), node)
        yield None
        if fits:
            words = ", ".join(f"{t.key}{'=' if t.value else ''}{t.value}:{t.effect}" for t in needed)
            yield f"fits on {node} with a toleration for {words}"
            return


def _needed(case: Case, node: str, one: Toleration, tolerations: Sequence[Toleration]) -> bool:
    """Whether the node refuses the pod with all of these but one."""
    entry, part = case.trial.part.inventory.get(node), case.trial.part
    others = _tolerating(case.pod, [other for other in tolerations if other is not one])
    return entry is not None and bool(node_refusals(others, entry.node, part.ledger.usage(node), part.around))


def _tolerating(pod: Pod, tolerations: Iterable[Toleration]) -> Pod:
    constraints = pod.constraints
    return replace(pod, constraints=replace(constraints, tolerations=(*constraints.tolerations, *tolerations)))


def _without_a_constraint(case: Case) -> Iterator[str | None]:
    """Which one of the pod's demands on a node stands in its way."""
    constraints = case.pod.constraints
    eased: tuple[tuple[str, Sequence[str], Constraints], ...] = (
        ("spec.nodeSelector", case.selected, replace(constraints, node_selector=())),
        ("spec.affinity.nodeAffinity", case.affine, replace(constraints, affinity_terms=None)),
    )
    for field, nodes, changed in eased:
        pod = replace(case.pod, constraints=changed)
        for node in nodes:
            fits = case.trial.takes(pod, node)
            yield None
            if fits:
                yield f"fits on {node} without {field}"
                break


def _without_an_annotation(case: Case) -> Iterator[str | None]:
    """Which one of the pod's annotations that select cards stands in its way."""
    keys = dict.fromkeys(key for profile in case.families for key in (*profile.selection.all(), *profile.pod_keys))
    for key in keys:
        if key not in case.pod.annotations:
            continue
        pod = replace(case.pod, annotations={k: v for k, v in case.pod.annotations.items() if k != key})
        for node in case.picky:
            fits = case.trial.takes(pod, node)
            yield None
            if fits:
                yield f"fits on {node} without the annotation {key}"
                break
