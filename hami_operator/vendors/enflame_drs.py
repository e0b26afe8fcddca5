"""Enflame DRS: hard partitions of a card, chosen by size or by the memory and compute they have.

Source: HAMi v2.10.0 pkg/device/enflame/device.go, which has it in place of percentages. A node that publishes
partitions is this family's, one that publishes slices is that of ``enflame``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hami_operator.allocators.sizes import GIB_MIB, WHOLE, Partition, partition, percent, smallest
from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest, ProtocolError
from hami_operator.core.jsonfields import read_json, read_records
from hami_operator.core.model import Container, Device, DeviceRequest, Node, Share
from hami_operator.core.reasons import Reason
from hami_operator.core.request import amount
from hami_operator.core.vendor import (
    Admission,
    CardState,
    Charge,
    Check,
    FitContext,
    Grant,
    Hooks,
    Profile,
    ResourceNames,
    SelectionKeys,
    annotate_lists,
    one_card,
)

SECTION = "enflame"
KEY = "Enflame-DRS"
#: What records of this family say on the wire: HAMi knows one family of shared Enflame cards.
LABEL = "Enflame"

DRS_CAPACITY = "enflame.com/gcu-drs-capacity"
#: By these the plugin knows partition and card of each container.
CONTAINERS = "assigned-containers"
ASSIGNED = "enflame.com/gcu-assigned"
ASSIGNED_TIME = "enflame.com/gcu-assigned-time"
INDEX_KEYS = ("enflame.com/gcu-assigned-index", "enflame.com/gcu-assigned-id")
MINOR = "enflame.com/gcu-assigned-minor"
REQUEST_SIZE = "enflame.com/gcu-request-size"


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``enflame`` section of the device configuration, as far as partitions go.

    ``partitions`` are the sizes that nodes have, as admission knows them.
    """

    partition_name: str
    partition_memory_name: str
    partition_core_name: str
    partitions: Sequence[str]


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The family of partitions."""
    return (
        Profile(
            key=KEY,
            names=ResourceNames(
                settings.partition_name, settings.partition_memory_name, cores=settings.partition_core_name
            ),
            register_key=DRS_CAPACITY,
            allocated_key="hami.io/enflame-vgpu-devices-allocated",
            lock_key=protocol.OWN_LOCK.format("enflame-drs"),
            served_key=ASSIGNED,
            request_of=_request,
            inventory_of=_inventory,
            selection=SelectionKeys(use_uuid="enflame.com/use-gpuuuid", nouse_uuid="enflame.com/nouse-gpuuuid"),
            extra_keys=(CONTAINERS, ASSIGNED, ASSIGNED_TIME, *INDEX_KEYS, MINOR, REQUEST_SIZE),
            label=LABEL,
            tenant_keys=(),
            checks=(
                Check.HEALTH,
                Check.CORDON,
                Check.UUID,
                Check.SLOTS,
                Check.MUTEX,
                Check.MEMORY,
                Check.PREDICATE,
            ),
            hooks=Hooks(
                admit=partial(_admit, settings.partitions),
                node_gate=_on_node,
                charge=_charge,
                predicate=_has_slices,
                annotate=_annotate,
            ),
        ),
    )


# -- what is asked -----------------------------------------------------------------------------------------------


def _request(profile: Profile, container: Container) -> DeviceRequest | None:
    """A size in slices, or an amount of memory and a percentage of compute; what those mean is the node's affair."""
    names = profile.names
    slices = amount(container, names.count, 1, protocol.INT32_MAX)
    memory = amount(container, names.memory, 1, protocol.INT32_MAX)
    cores = amount(container, names.cores, 1, WHOLE)
    asked = (slices, memory, cores) != (None, None, None)
    return DeviceRequest(1, memory, None, cores, slices) if asked else None


def _admit(sizes: Sequence[str], profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """The slices are written, since the plugin is called by them; HAMi does not, and the container gets no card."""
    request, names = profile.request(container), profile.names
    if request is None:
        return Admission()
    if request.memory_mib is None and request.cores is None:
        return Admission(True, {names.count: request.slices or 0})
    found = smallest([size for name in sizes if (size := partition(name))], request)
    name, value = (names.cores, request.cores) if request.memory_mib is None else (names.memory, request.memory_mib)
    if found is None:
        raise InvalidRequest(
            f"container {container.name!r}: {name} {value} is more than any partition has, there are {', '.join(sizes)}"
        )
    if request.slices not in (None, found.slices):
        raise InvalidRequest(
            f"container {container.name!r} asks for {names.count} {request.slices} and for {name} {value}, which is a "
            f"partition of {found.slices}; allowed is {names.count} alone, or {names.memory} and {names.cores}"
        )
    return Admission(True, {names.count: found.slices})


def _on_node(context: FitContext) -> Reason | DeviceRequest:
    """The partition of this node that is what was asked for, if it is of the slices that the plugin is asked for."""
    partitions, request = _partitions(context.cards[0].device), context.request
    found = smallest(partitions, request)
    if found is None or request.slices not in (None, found.slices):
        return Reason.MODE_NOT_FIT
    return DeviceRequest(1, found.gib * GIB_MIB, None, percent(found, partitions), found.slices)


# -- the cards ---------------------------------------------------------------------------------------------------


def _inventory(profile: Profile, node: Node) -> tuple[Device, ...]:
    text = node.annotations.get(DRS_CAPACITY)
    if not text:
        return ()
    content = read_json(DRS_CAPACITY, text)
    if not isinstance(content, dict):
        raise ProtocolError(DRS_CAPACITY, 0, "the text is no JSON object of devices and profiles")
    partitions = _read_partitions(content.get("profiles"))
    records = read_records(DRS_CAPACITY, content.get("devices") or [])
    devices = (
        Device(
            uuid=f"{node.name}-enflame-drs-{record.number('index')}",
            index=record.number("index"),
            slots=record.number("capacity"),
            memory_mib=max(partition.gib for partition in partitions) * GIB_MIB,
            cores=WHOLE,
            type=LABEL,
            custom={"minor": record.number("minor" if "minor" in record.fields else "index"), "partitions": partitions},
        )
        for record in records
    )
    return protocol.checked_devices(DRS_CAPACITY, text, devices)


def _read_partitions(profiles: object) -> tuple[Partition, ...]:
    """The sizes of a node, the smallest first. Raises ProtocolError."""
    if not isinstance(profiles, Mapping) or not profiles:
        raise ProtocolError(DRS_CAPACITY, 0, "profiles is no JSON object of partition names and their ids")
    found = []
    for name, number in profiles.items():
        size = partition(name, number) if isinstance(number, str) else None
        if size is None:
            raise ProtocolError(DRS_CAPACITY, 0, f"profile {name!r}: {number!r} is no partition such as '3g.20gb': '1'")
        found.append(size)
    return tuple(sorted(found))


def _partitions(device: Device) -> tuple[Partition, ...]:
    partitions = device.custom["partitions"]
    if not isinstance(partitions, tuple):
        raise AssertionError(f"{device.uuid} was registered without partitions")
    return partitions


def _charge(context: FitContext, device: Device) -> Charge:
    return Charge(context.request.memory_mib or 0, context.request.cores or 0, device.cores)


def slices_in(share: Share, device: Device) -> int:
    """How many slices a share is, from its compute. HAMi writes the percentage rounded up, and then never gives the
    sixth of six single slices; here it is rounded down, and both are read."""
    return round(share.cores * max(partition.slices for partition in _partitions(device)) / WHOLE)


def _has_slices(context: FitContext, state: CardState) -> Reason | None:
    used = sum(slices_in(tenant.share, state.device) for tenant in state.tenants)
    if used + (context.request.slices or 0) > state.device.slots:
        return Reason.CARD_TIME_SLICING_EXHAUSTED
    return one_card(context, state)


# -- what is written ---------------------------------------------------------------------------------------------


def _annotate(grant: Grant) -> dict[str, str]:
    containers: dict[str, object] = {}
    minors, size = "", 0
    for container, shares in zip(grant.pod.containers, grant.given, strict=True):
        for share in shares:
            device = grant.devices[share.card]
            slices, gib = slices_in(share, device), share.memory_mib // GIB_MIB
            partition = next(p for p in _partitions(device) if (p.slices, p.gib) == (slices, gib))
            minors, size = str(device.custom["minor"]), size + slices
            containers[container.name] = {
                "allocated": False,
                "request": slices,
                "profileID": partition.number,
                "profileName": partition.name,
            }
    first = next(shares for shares in grant.given if shares)
    own = {
        CONTAINERS: json.dumps(containers, separators=(",", ":")),
        ASSIGNED: "false",
        ASSIGNED_TIME: grant.nanoseconds,
        MINOR: minors,
        REQUEST_SIZE: str(size),
    }
    return annotate_lists(grant) | own | dict.fromkeys(INDEX_KEYS, grant.indexes(first))
