"""AWS Neuron: whole devices in a row as the instance's links want them, or cores of a device.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/awsneuron/device.go; the AWS Neuron SDK's documentation for the instances.
HAMi takes the cores per device from the first node it ever saw, and knows two at most; here each node tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hami_operator.allocators.runs import aligned_run, first_run
from hami_operator.core import protocol
from hami_operator.core.capacity import MOST_CARDS, reported
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Container, Device, DeviceRequest, Node, Share
from hami_operator.core.reasons import Reason
from hami_operator.core.request import amount
from hami_operator.core.vendor import (
    CardState,
    Charge,
    Check,
    Chooser,
    FitContext,
    Grant,
    Hooks,
    Profile,
    ResourceNames,
    SelectionKeys,
    annotate_lists,
)

SECTION = "awsneuron"
KEY = "AWSNeuron"

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
#: Devices of Inferentia are a ring, any row of neighbours will do; all others are a torus, whose blocks are these.
RING = "inf"
TORUS_BLOCKS = (1, 4, 8, 16)
#: A device's cores are a bit mask in a Go int32.
MOST_CORES = 31

IDS = "AWS_NEURON_IDS"
RESOURCE_TYPE = "NEURON_RESOURCE_TYPE"
ALLOC_TIME = "NEURON_ALLOC_TIME"
ALLOCATED = "NEURON_ALLOCATED"
PREDICATE_NODE = "aws.amazon.com/predicate-node"


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``awsneuron`` section of the device configuration."""

    count_name: str
    core_name: str


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile: devices and cores are the same cards. Their ids may not be mixed in a pod's one list."""
    return (
        Profile(
            key=KEY,
            names=ResourceNames(settings.count_name, cores=settings.core_name),
            allocated_key="hami.io/aws-neuron-devices-allocated",
            lock_key=protocol.OWN_LOCK.format("aws-neuron"),
            served_key=ALLOCATED,
            request_of=_request,
            inventory_of=_inventory,
            selection=SelectionKeys(
                use_uuid="aws.amazon.com/use-neuron-uuid",
                nouse_uuid="aws.amazon.com/nouse-neuron-uuid",
                also_use_uuid=("aws.amazon.com/use-gpuuuid",),
                also_nouse_uuid=("aws.amazon.com/nouse-gpuuuid",),
            ),
            extra_keys=(IDS, RESOURCE_TYPE, ALLOC_TIME, ALLOCATED, PREDICATE_NODE),
            core_masks=True,
            tenant_keys=(),
            one_name=(settings.count_name, settings.core_name),
            checks=(Check.HEALTH, Check.CORDON, Check.UUID, Check.SLOTS, Check.MUTEX, Check.PREDICATE),
            hooks=Hooks(
                node_gate=_on_node,
                charge=_charge,
                predicate=_has_cores,
                chooser=_chooser,
                no_choice=Reason.NUMA_NOT_FIT,
                share=_share,
                annotate=_annotate,
            ),
        ),
    )


# -- what is asked -----------------------------------------------------------------------------------------------


def _request(profile: Profile, container: Container) -> DeviceRequest | None:
    """Devices, or cores in all: how many devices those are is the node's affair (``_on_node``)."""
    count = amount(container, profile.names.count, 1, protocol.INT32_MAX)
    cores = amount(container, profile.names.cores, 1, protocol.INT32_MAX)
    if count is not None:
        return DeviceRequest(count)
    return None if cores is None else DeviceRequest(1, cores=cores)


def _on_node(context: FitContext) -> Reason | DeviceRequest:
    """Cores up to a device's number come from one device, more are whole devices.

    HAMi v2.7.0 halves the cores and loses an odd one.
    """
    request, per_device = context.request, context.cards[0].device.cores
    if request.cores is None:
        return DeviceRequest(request.count, cores=per_device)
    if request.cores <= per_device:
        return request
    devices, rest = divmod(request.cores, per_device)
    return Reason.CARD_INSUFFICIENT_CORE if rest else DeviceRequest(devices, cores=per_device)


# -- the devices -------------------------------------------------------------------------------------------------


def _inventory(profile: Profile, node: Node) -> tuple[Device, ...]:
    names = profile.names
    count, cores = reported(node, names.count), reported(node, names.cores)
    if not count:
        return ()
    per_device, rest = divmod(cores, count)
    if rest or not 1 <= per_device <= MOST_CORES or count > MOST_CARDS:
        allowed = f"1 to {MOST_CARDS} devices with 1 to {MOST_CORES} cores each"
        raise ProtocolError(names.cores, 0, f"{cores} cores on {count} devices, allowed are {allowed}")
    return tuple(Device(f"{node.name}-{KEY}-{i}", i, per_device, 0, per_device, KEY) for i in range(count))


def _charge(context: FitContext, device: Device) -> Charge:
    return Charge(0, context.request.cores or 0, device.cores)


def _free_run(state: CardState, cores: int) -> range | None:
    """The lowest free cores in a row; the runtime takes no others."""
    used = 0
    for tenant in state.tenants:
        used |= tenant.share.cores
    return first_run({core for core in range(state.device.cores) if not used >> core & 1}, cores)


def _has_cores(context: FitContext, state: CardState) -> Reason | None:
    return Reason.CARD_INSUFFICIENT_CORE if _free_run(state, context.request.cores or 0) is None else None


def _share(context: FitContext, state: CardState, charge: Charge) -> Share:
    """The record holds the cores as a bit mask, core 0 the lowest bit."""
    return Share(state.device.uuid, KEY, 0, sum(1 << core for core in _free_run(state, charge.cores) or ()))


def _chooser(context: FitContext) -> Chooser:
    """Devices in a row; a single one as far back as it goes, whatever the card policy, so that blocks stay whole."""
    ring = RING in context.node.labels.get(INSTANCE_TYPE, "").lower()

    def choose(candidates: Sequence[CardState], count: int) -> list[CardState] | None:
        by_index = {state.device.index: state for state in candidates}
        if count == 1:
            return [by_index[max(by_index)]]
        if not ring and count not in TORUS_BLOCKS:
            return None
        row = (first_run if ring else aligned_run)(by_index, count)
        return None if row is None else [by_index[index] for index in row]

    return choose


# -- what is written ---------------------------------------------------------------------------------------------


def _annotate(grant: Grant) -> dict[str, str]:
    """Indexes of whole devices, or of cores over all the node, of all containers in one list."""
    names, ids = grant.profile.names, dict[int, None]()
    by_cores = False
    for container, shares in zip(grant.pod.containers, grant.given, strict=True):
        whole = names.count in container.limits or names.count in container.requests
        by_cores = by_cores or (bool(shares) and not whole)
        for share in shares:
            device = grant.devices[share.card]
            bits = [core for core in range(device.cores) if share.cores >> core & 1]
            ids |= dict.fromkeys([device.index] if whole else [device.cores * device.index + core for core in bits])
    written = {
        IDS: ",".join(map(str, ids)),
        ALLOC_TIME: grant.nanoseconds,
        ALLOCATED: "false",
        PREDICATE_NODE: grant.node.name,
    }
    return annotate_lists(grant) | written | ({RESOURCE_TYPE: names.cores} if by_cores else {})
