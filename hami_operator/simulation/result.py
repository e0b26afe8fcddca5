"""The result in the form that other programs read: rows of plain dictionaries, keys that do not apply absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hami_operator.core.binding import binding_annotations
from hami_operator.core.inventory import Inventory, NodeDevices
from hami_operator.core.kept import Blanket, Kept, Verdict
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Allocation, Pod
from hami_operator.core.reasons import Refusal
from hami_operator.core.schedule import Placement, Unschedulable
from hami_operator.core.vendor import NOTHING, Amounts, Profile

API_VERSION = "hami-operator.io/v1alpha1"
KIND = "SimulationResult"

#: Decimals of a score: beyond them is only the rounding of binary fractions.
SCORE_DECIMALS = 6

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What a simulation found. ``complete``: every candidate of ours was placed.

    ``warnings`` come from admission and from quotas.
    """

    content: Row
    complete: bool
    warnings: tuple[str, ...] = ()


def pod_row(pod: Pod, outcome: str, message: str) -> Row:
    """What every candidate's row begins with."""
    return {"namespace": pod.key.namespace, "name": pod.key.name, "outcome": outcome, "message": message}


def admission_row(scheduler_name: str, operations: Sequence[Mapping[str, Any]]) -> Row:
    """What admission made of a pod."""
    return {"admission": {"schedulerName": scheduler_name, "patch": list(operations)}}


def placement_row(pod: Pod, placement: Placement, entry: NodeDevices, profiles: Sequence[Profile], now: float) -> Row:
    """Where a pod goes, with which cards, and what the Binding carries (nothing for a pod without cards)."""
    allocation = placement.allocation
    return {
        "node": placement.node,
        "devices": _pod_devices(pod, allocation),
        "annotations": binding_annotations(pod, entry, allocation, profiles, now) if allocation else {},
        "nodes": node_rows(placement.kept),
    }


def refusal_row(decision: Unschedulable) -> Row:
    """Why a pod goes nowhere."""
    return {"nodes": node_rows(decision.kept)}


def node_rows(kept: Kept | Blanket) -> list[Row]:
    """What each node looked at answered, by name."""
    return [_node_row(name, verdict) for name, verdict in sorted(kept.verdicts.items())]


def _node_row(name: str, verdict: Verdict) -> Row:
    if verdict.fits:
        return {"name": name, "fits": True, "score": round(verdict.score, SCORE_DECIMALS)}
    return {"name": name, "fits": False, "refusals": [_refusal_row(refusal) for refusal in verdict.refusals]}


def _refusal_row(refusal: Refusal) -> Row:
    row: Row = {"reason": str(refusal.reason)}
    if refusal.devices is not None:
        row |= {"devices": refusal.devices, "of": refusal.of}
    return row


def _pod_devices(pod: Pod, allocation: Allocation) -> list[Row]:
    """In wire order: containers by position, cards in the order of selection."""
    return [
        {
            "container": container.name,
            "vendor": family,
            "uuid": share.uuid,
            "memory": share.memory_mib,
            "cores": share.cores,
        }
        for position, container in enumerate(pod.containers)
        for family, positions in allocation.families.items()
        for share in positions[position]
    ]


def device_rows(inventory: Inventory, ledger: Ledger, profiles: Sequence[Profile]) -> list[Row]:
    """Every card with what is used of it, by node, family and index."""
    entries = sorted(inventory, key=lambda entry: entry.node.name)
    return [
        {
            "node": entry.node.name,
            "vendor": profile.key,
            "uuid": device.uuid,
            "index": device.index,
            "type": device.type,
            "healthy": device.healthy,
            "slots": {"capacity": device.slots, "used": used.slots},
            "memory": {"capacity": device.memory_mib, "used": used.memory_mib},
            "cores": {"capacity": device.cores, "used": used.cores},
        }
        for entry in entries
        for profile in profiles
        for device in entry.devices.get(profile.key, ())
        for used in (_used(ledger, entry.node.name, profile.key, device.uuid),)
    ]


def _used(ledger: Ledger, node: str, family: str, uuid: str) -> Amounts:
    return ledger.usage(node).cards.get(family, {}).get(uuid, NOTHING)
