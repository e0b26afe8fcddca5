"""Builders: the smallest cluster in a few lines. Objects are built as the API has them and read by the core itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hami_operator.config import DevicesSection, NvidiaSection
from hami_operator.core import protocol
from hami_operator.core.allocate import Demand, Offer, allocate, read_demand
from hami_operator.core.cluster import Cluster, Policies
from hami_operator.core.inventory import Inventory, NodeDevices
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Allocation, Device, Node, Pod
from hami_operator.core.node_fit import Surroundings
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.reasons import Refusal
from hami_operator.core.vendor import Amounts, Profile

NOW = 1_760_000_000.0

#: Short names of NVIDIA's amounts.
SHORT = {
    "gpu": "nvidia.com/gpu",
    "mem": "nvidia.com/gpumem",
    "pct": "nvidia.com/gpumem-percentage",
    "cores": "nvidia.com/gpucores",
    "priority": "nvidia.com/priority",
}

REGISTER = "hami.io/node-nvidia-register"
ALLOCATED = "hami.io/vgpu-devices-allocated"


def nvidia(**section: Any) -> Profile:
    """The NVIDIA profile, with some keys of its configuration section changed."""
    return DevicesSection(nvidia=NvidiaSection(**section)).profiles()[0]


NVIDIA = nvidia()


def device(uuid: str = "GPU-a", **fields: Any) -> Device:
    """A healthy card of 24576 MiB for ten, unless said otherwise."""
    usual: dict[str, Any] = {
        "index": 0,
        "slots": 10,
        "memory_mib": 24576,
        "cores": 100,
        "type": "NVIDIA-NVIDIA A30",
        "mode": "hami-core",
    }
    return Device(uuid=uuid, **{**usual, **fields})


def amounts(short: Mapping[str, Any]) -> dict[str, str]:
    """``{"gpu": 1}`` -> ``{"nvidia.com/gpu": "1"}``."""
    return {SHORT.get(name, name): str(value) for name, value in short.items()}


def container(name: str = "main", *, fields: Mapping[str, Any] | None = None, **short: Any) -> dict[str, Any]:
    """A container object whose limits are given by short or full names."""
    return {"name": name, "resources": {"limits": amounts(short)}, **(fields or {})}


def pod_object(
    name: str = "p", *containers: Mapping[str, Any], metadata: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A Pod object in namespace ``default`` that names our scheduler."""
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **(metadata or {})},
        "spec": {"schedulerName": "hami-scheduler", "containers": list(containers), **spec},
    }


def pod(
    name: str = "p", *containers: Mapping[str, Any], annotations: Mapping[str, str] | None = None, **spec: Any
) -> Pod:
    """The same as a value."""
    return read_pod(pod_object(name, *containers, metadata={"annotations": dict(annotations or {})}, **spec))


def asking(name: str = "p", *, annotations: Mapping[str, str] | None = None, **short: Any) -> Pod:
    """A pod with one container that asks for these amounts."""
    return pod(name, container(**short), annotations=annotations)


def bound(name: str, node: str, text: str, *containers: Mapping[str, Any], **short: Any) -> Pod:
    """A running pod with a device list, as the plugin's side of the protocol leaves it."""
    annotations = {protocol.POD_NODE: node, ALLOCATED: text}
    return pod(name, *(containers or [container(**(short or {"gpu": 1}))]), annotations=annotations, nodeName=node)


def node_object(name: str, devices: Iterable[Device] = (), **parts: Any) -> dict[str, Any]:
    """A Node object that registers these cards as HAMi 2.7 does."""
    metadata = {"name": name, **parts.pop("metadata", {})}
    text = protocol.encode_devices_text(devices)
    metadata["annotations"] = {**({REGISTER: text} if text else {}), **metadata.get("annotations", {})}
    return {"kind": "Node", "metadata": metadata, **parts}


def node(name: str = "n1", devices: Iterable[Device] = (), **parts: Any) -> Node:
    """The same as a value."""
    return read_node(node_object(name, devices, **parts))


def cluster(
    nodes: Iterable[Node],
    pods: Iterable[Pod] = (),
    *,
    policies: Policies | None = None,
    around: Surroundings | None = None,
    profiles: Sequence[Profile] = (NVIDIA,),
) -> Cluster:
    """A cluster with these nodes and running pods."""
    result = Cluster(
        profiles=profiles,
        policies=policies or Policies("binpack", "spread"),
        inventory=Inventory(profiles),
        ledger=Ledger(profiles),
        around=around or Surroundings(),
    )
    for item in nodes:
        result.inventory.update(item)
    for item in pods:
        result.ledger.observe(item, NOW)
    return result


def offer(
    devices: Sequence[Device], used: Mapping[str, Sequence[int]] | None = None, *, cordoned: Iterable[str] = ()
) -> Offer:
    """One node that offers these cards; ``used`` is card -> (slots, MiB, cores)."""
    entry = NodeDevices(
        node=node("n1", devices),
        devices={NVIDIA.key: tuple(sorted(devices, key=lambda d: (d.index, d.uuid)))},
        live=frozenset({NVIDIA.key}),
        cordoned=frozenset(cordoned),
    )
    return Offer(entry, {NVIDIA.key: {uuid: Amounts(*held) for uuid, held in (used or {}).items()}})


def demand(pod: Pod, *, profiles: Sequence[Profile] = (NVIDIA,), card_policy: str = "spread") -> Demand:
    """What a pod asks, by the usual policies."""
    return read_demand(pod, profiles, card_policy=card_policy, node_policy="binpack")


def answer(pod: Pod, offered: Offer, *, card_policy: str = "spread") -> Allocation | tuple[Refusal, ...]:
    """What one node answers to a pod."""
    return allocate(pod, demand(pod, card_policy=card_policy), offered, {})


def cards(allocation: object, family: str = "NVIDIA") -> list[str]:
    """The uuids of an allocation in wire order; fails when there is none."""
    assert isinstance(allocation, Allocation), allocation
    return [share.uuid for positions in allocation.families[family] for share in positions]
