"""What a Binding writes to its pod: the wire protocol's annotations and label, by node and allocation."""

from __future__ import annotations

from collections.abc import Sequence

from . import protocol
from .inventory import NodeDevices
from .model import Allocation, Pod
from .vendor import Grant, Profile

LABEL_VALUE_LENGTH = 63


def binding_annotations(
    pod: Pod, entry: NodeDevices, allocation: Allocation, profiles: Sequence[Profile], now: float
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
            devices = {device.uuid: device for device in entry.devices.get(profile.key, ())}
            given = allocation.families[profile.key]
            written |= profile.hooks.annotate(Grant(profile, pod, entry.node, devices, given, now))
    return written


def binding_labels(node: str) -> dict[str, str]:
    """The label that HAMi's monitor selects its pods by; left out where the node name is no label value."""
    return {protocol.POD_NODE: node} if len(node) <= LABEL_VALUE_LENGTH else {}
