"""Which nodes come nearest to taking a pod that waits, as far as their refusals tell."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from .cluster import Cluster
from .model import Container, Pod
from .node_fit import node_refusals
from .reasons import Reason
from .schedule import Unschedulable
from .vendor import NOTHING, Profile
from .whatif import Trial, trial_of

#: Nodes that are asked for less, and for each constraint.
NODES_TRIED, NODES_EASED = 5, 30
#: Nodes whose cards are looked over in one step.
NODES_A_STEP = 50

#: What other pods' end, or asking for less, can mend.
_ROOM = frozenset(
    {
        Reason.CARD_INSUFFICIENT_MEMORY,
        Reason.CARD_INSUFFICIENT_CORE,
        Reason.CARD_TIME_SLICING_EXHAUSTED,
        Reason.CARD_COMPUTE_UNITS_EXHAUSTED,
        Reason.CARD_MIG_TOPOLOGY_INFEASIBLE,
        Reason.EXCLUSIVE_CONFLICT,
        Reason.ALLOCATED_CARDS_INSUFFICIENT,
        Reason.NODE_INSUFFICIENT_DEVICE,
        Reason.TOPOLOGY_NOT_FIT,
        Reason.CUSTOM_FILTER_RULE,
        Reason.NUMA_NOT_FIT,
        Reason.RESOURCE_QUOTA_NOT_FIT,
        Reason.INSUFFICIENT_CPU,
        Reason.INSUFFICIENT_MEMORY,
        Reason.INSUFFICIENT_EXTENDED_RESOURCE,
        Reason.TOO_MANY_PODS,
        Reason.HOST_PORT_CONFLICT,
        Reason.POD_ANTI_AFFINITY,
    }
)
#: What the pod's annotations bring about.
_SELECTION = frozenset(
    {
        Reason.CARD_TYPE_MISMATCH,
        Reason.CARD_UUID_MISMATCH,
        Reason.MODE_NOT_FIT,
        Reason.NUMA_NOT_FIT,
        Reason.TOPOLOGY_NOT_FIT,
        Reason.CUSTOM_FILTER_RULE,
    }
)
#: What stands in the way whatever the pod asks of cards.
_SHUT = frozenset(
    {
        Reason.INVALID_REQUEST,
        Reason.UNSUPPORTED_CONSTRAINT,
        Reason.NODE_UNREGISTERED,
        Reason.NODE_QUARANTINED,
        Reason.NODE_ALLOCATE_FAILING,
        Reason.NODE_NOT_READY,
        Reason.NODE_UNSCHEDULABLE,
        Reason.NODE_SELECTOR_MISMATCH,
        Reason.NODE_AFFINITY_MISMATCH,
        Reason.TAINT_NOT_TOLERATED,
        Reason.VOLUME_NODE_CONFLICT,
    }
)


@dataclass(frozen=True, slots=True)
class Case:
    """A pod that waits, and the nodes that are asked about it: first those that look nearest.

    ``short`` lack room; ``picky`` are refused by the pod's annotations; the others by just that.
    """

    pod: Pod
    families: Sequence[Profile]
    trial: Trial
    short: Sequence[str]
    picky: Sequence[str]
    tainted: Sequence[str]
    selected: Sequence[str]
    affine: Sequence[str]

    def asking(self, resource: str) -> Container | None:
        """The only container that asks for some of a resource; None where several do or none does."""
        found = [container for container in self.pod.containers if resource and resource in container.limits]
        return found[0] if len(found) == 1 else None


def finding(pod: Pod, decision: Unschedulable, cluster: Cluster, now: float) -> Generator[None, None, Case]:
    """The nodes to ask, copied at the end; between two steps the cluster may change.

    ``decision`` is read in the first step, so it has to be the newest then.
    """
    verdicts = decision.kept.verdicts
    refused = {name: {refusal.reason for refusal in verdict.refusals} for name, verdict in verdicts.items()}
    families = [family.profile for family in decision.kept.demand.families]
    open_ = [name for name, reasons in refused.items() if reasons.isdisjoint(_SHUT)]
    free: dict[str, int] = {}
    for number, name in enumerate(open_, 1):
        free[name] = _freest(name, families, cluster)
        if number % NODES_A_STEP == 0:
            yield
    short = _nearest([name for name in open_ if refused[name] & _ROOM], refused, free, pod, cluster)
    picky = sorted((n for n in open_ if refused[n] & _SELECTION), key=lambda n: (-free[n], n))[:NODES_EASED]
    alone = {
        reason: sorted(name for name, reasons in refused.items() if reasons == {reason})[:NODES_EASED]
        for reason in (Reason.TAINT_NOT_TOLERATED, Reason.NODE_SELECTOR_MISMATCH, Reason.NODE_AFFINITY_MISMATCH)
    }
    nodes = dict.fromkeys((*short, *picky, *(name for names in alone.values() for name in names)))
    return Case(pod, families, trial_of(cluster, nodes, pod.key.namespace, now), short, picky, *alone.values())


def _nearest(
    names: Iterable[str], refused: Mapping[str, Set[Reason]], free: Mapping[str, int], pod: Pod, cluster: Cluster
) -> list[str]:
    """The nodes with the most room that only lack more of it."""
    found: list[str] = []
    for name in sorted(names, key=lambda name: (len(refused[name] - _ROOM), -free[name], name)):
        entry = cluster.inventory.get(name)
        if entry is None or free[name] < 0:
            continue
        others = {r.reason for r in node_refusals(pod, entry.node, cluster.ledger.usage(name), cluster.around)} - _ROOM
        if not others:
            found.append(name)
        if len(found) == NODES_TRIED:
            break
    return found


def _freest(name: str, families: Iterable[Profile], cluster: Cluster) -> int:
    """MiB free on the emptiest healthy card of these families; -1 where there is none."""
    entry, usage, most = cluster.inventory.get(name), cluster.ledger.usage(name), -1
    for profile in families if entry is not None else ():
        used = usage.cards.get(profile.key, {})
        for device in entry.devices.get(profile.key, ()) if entry is not None else ():
            if device.healthy:
                most = max(most, device.memory_mib - used.get(device.uuid, NOTHING).memory_mib)
    return most
