"""Why something does not fit, as values. Text is made here, once, at the end.

The names are those HAMi publishes in events (v2.7.0 pkg/scheduler/event.go, pkg/device/common/common.go): people grep
for them. Names without a card behind them are ours.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class Reason(enum.StrEnum):
    """A published reason name."""

    CARD_NOT_HEALTH = "CardNotHealth"
    CARD_CORDONED = "CardCordoned"
    CARD_OVER_ALLOCATED = "CardOverAllocated"
    CARD_TYPE_MISMATCH = "CardTypeMismatch"
    CARD_UUID_MISMATCH = "CardUuidMismatch"
    NUMA_NOT_FIT = "NumaNotFit"
    CARD_TIME_SLICING_EXHAUSTED = "CardTimeSlicingExhausted"
    CARD_INSUFFICIENT_MEMORY = "CardInsufficientMemory"
    CARD_INSUFFICIENT_CORE = "CardInsufficientCore"
    EXCLUSIVE_CONFLICT = "ExclusiveDeviceAllocateConflict"
    CARD_COMPUTE_UNITS_EXHAUSTED = "CardComputeUnitsExhausted"
    CUSTOM_FILTER_RULE = "CardNotFoundCustomFilterRule"
    ALLOCATED_CARDS_INSUFFICIENT = "AllocatedCardsInsufficientRequest"
    NODE_INSUFFICIENT_DEVICE = "NodeInsufficientDevice"
    RESOURCE_QUOTA_NOT_FIT = "ResourceQuotaNotFit"
    TOPOLOGY_NOT_FIT = "TopologyNotFit"
    MODE_NOT_FIT = "ModeNotFit"
    CARD_UNHEALTHY = "CardUnhealthy"
    CARD_QOS_POLICY_MISMATCH = "CardQosPolicyMismatch"
    CARD_APP_CLASS_MISMATCH = "CardAppClassMismatch"
    CARD_HANDLE_LIMIT = "CardHandleLimit"
    CARD_MIG_TOPOLOGY_INFEASIBLE = "CardMigTopologyInfeasible"
    CARD_PARTITIONS_UNKNOWN = "CardPartitionsUnknown"

    INVALID_REQUEST = "InvalidRequest"
    NODE_UNREGISTERED = "NodeUnregistered"
    NODE_QUARANTINED = "NodeQuarantined"
    NODE_ALLOCATE_FAILING = "NodeAllocateFailing"
    NODE_NOT_READY = "NodeNotReady"
    NODE_UNSCHEDULABLE = "NodeUnschedulable"
    NODE_SELECTOR_MISMATCH = "NodeSelectorMismatch"
    NODE_AFFINITY_MISMATCH = "NodeAffinityMismatch"
    TAINT_NOT_TOLERATED = "TaintNotTolerated"
    HOST_PORT_CONFLICT = "HostPortConflict"
    VOLUME_NODE_CONFLICT = "VolumeNodeConflict"
    POD_ANTI_AFFINITY = "PodAntiAffinityConflict"
    INSUFFICIENT_CPU = "InsufficientCpu"
    INSUFFICIENT_MEMORY = "InsufficientMemory"
    INSUFFICIENT_EPHEMERAL_STORAGE = "InsufficientEphemeralStorage"
    INSUFFICIENT_EXTENDED_RESOURCE = "InsufficientExtendedResource"
    TOO_MANY_PODS = "TooManyPods"
    UNSUPPORTED_CONSTRAINT = "UnsupportedConstraint"
    ALLOCATION_NOT_WRITABLE = "AllocationNotWritable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node does not take a pod.

    ``devices`` of ``of`` cards were refused for this reason; both are None where no card caused it (taints, cpu).
    ``detail`` names the field or amounts where that helps.
    """

    reason: Reason
    devices: int | None = None
    of: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        text = str(self.reason) if self.devices is None else f"{self.devices}/{self.of} {self.reason}"
        return f"{text} ({self.detail})" if self.detail else text


def card_refusals(counts: Mapping[Reason, int], offered: int, details: Mapping[Reason, str]) -> tuple[Refusal, ...]:
    """Refusals of one node from counted card reasons, in the order of their texts (HAMi v2.10 sorts ``k/N Reason``)."""
    refusals = (Refusal(reason, count, offered, details.get(reason, "")) for reason, count in counts.items())
    return tuple(sorted(refusals, key=str))


def refusals_text(refusals: Iterable[Refusal]) -> str:
    """``2/4 CardInsufficientMemory, 1/4 CardTypeMismatch``: one node's reasons as the extender reports them."""
    return ", ".join(str(refusal) for refusal in refusals)


def unfit_text(refusals: Iterable[Refusal]) -> str:
    """The same with HAMi's words in front (v2.7.0 pkg/scheduler/scheduler.go): ``NodeUnfitPod: 2/4 CardCordoned``."""
    found = tuple(refusals)
    unregistered = [each.detail for each in found if each.reason is Reason.NODE_UNREGISTERED]
    return f"node unregistered: {unregistered[0]}" if unregistered else f"NodeUnfitPod: {refusals_text(found)}"


#: Names shown per reason in an event; the rest is counted, since a note holds 1 024 bytes.
NODES_NAMED = 5


@dataclass(slots=True)
class Tally:
    """The nodes that refuse for one reason, in order of name, and how often each detail was given."""

    nodes: list[str] = field(default_factory=list)
    details: Counter[str] = field(default_factory=Counter)

    def __contains__(self, name: str) -> bool:
        position = bisect_left(self.nodes, name)
        return position < len(self.nodes) and self.nodes[position] == name


def unschedulable_text(tallies: Mapping[Reason, Tally], nodes: int) -> str:
    """The sentence of a pod that fits none of ``nodes`` nodes; one that has two reasons is counted under both."""
    if not nodes:
        return "no available node: the cluster has no nodes"
    ordered = sorted(tallies.items(), key=lambda item: (-len(item[1].nodes), item[0]))
    parts = "; ".join(_reason_text(reason, tally) for reason, tally in ordered)
    return f"no available node, {nodes} nodes do not meet: {parts}"


def _reason_text(reason: Reason, tally: Tally) -> str:
    names = ",".join(tally.nodes[:NODES_NAMED])
    more = f",and {len(tally.nodes) - NODES_NAMED} more" if len(tally.nodes) > NODES_NAMED else ""
    text = f"{len(tally.nodes)} nodes {reason}({names}{more})"
    details = [detail for detail, count in tally.details.items() if detail and count > 0]
    if details:
        text += ": " + min(details, key=lambda detail: (-tally.details[detail], detail))
    return text
