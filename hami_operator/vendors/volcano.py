"""Volcano's vGPU names: NVIDIA cards behind the volcano-vgpu-device-plugin, by its own wire protocol. Off by default.

Sources: volcano pkg/scheduler/api/devices/nvidia/vgpu, volcano-vgpu-device-plugin. Never beside a Volcano scheduler
whose ``deviceshare.VGPUEnable`` is on: both would give the same cards away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hami_operator.allocators import mig
from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest, ProtocolError
from hami_operator.core.jsonfields import read_number
from hami_operator.core.model import Container, ContainerKind, Device, DeviceRequest, Node, Pod, Share
from hami_operator.core.reasons import Reason
from hami_operator.core.request import amount, unknown_word
from hami_operator.core.vendor import (
    Admission,
    CardState,
    FitContext,
    Grant,
    Hooks,
    PercentNames,
    Profile,
    SelectionKeys,
)

SECTION = "volcano"
KEY = "volcano-vgpu"

REGISTER = "volcano.sh/node-vgpu-register"
MODE = "volcano.sh/vgpu-mode"
TO_ALLOCATE = "volcano.sh/devices-to-allocate"
ALLOCATED = "volcano.sh/vgpu-ids-new"
NODE, TIME = "volcano.sh/vgpu-node", "volcano.sh/vgpu-time"
PHASE, BIND_TIME = "volcano.sh/bind-phase", "volcano.sh/bind-time"

#: A pod's PodGroup, and whether it shares a card with another pod of that group.
GROUP, GROUP_POLICY, SPREAD = "scheduling.k8s.io/group-name", "volcano.sh/vgpu-podgroup-policy", "spread"

#: The type field of every record.
LABEL = "NVIDIA"
CORE_MODE = "hami-core"

_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Settings(PercentNames):
    """The ``volcano`` section of the device configuration."""

    mig_geometries: Sequence[Mapping[str, Any]]


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            register_key=REGISTER,
            to_allocate_key=TO_ALLOCATE,
            allocated_key=ALLOCATED,
            lock_key="hamivgpu",
            phase_key=PHASE,
            request_of=_request,
            inventory_of=partial(_inventory, mig.read_geometries(settings.mig_geometries)),
            selection=SelectionKeys(
                use_uuid="volcano.sh/vgpu-use-gpuuuid",
                nouse_uuid="volcano.sh/vgpu-nouse-gpuuuid",
                use_type="nvidia.com/use-gputype",
                nouse_type="nvidia.com/nouse-gputype",
                mode=MODE,
            ),
            mode_words=(CORE_MODE, mig.MODE),
            extra_keys=(NODE, TIME, PHASE, BIND_TIME),
            label=LABEL,
            pod_keys=(GROUP, GROUP_POLICY),
            tenant_keys=(GROUP,),
            one_container="the plugin looks for a pod by the cards of one container, and finds none to serve here",
            shares_of=_shares_of,
            hooks=Hooks(admit=_admit, predicate=_may_join, parts=mig.parts, annotate=_annotate),
        ),
    )


# -- what is asked -----------------------------------------------------------------------------------------------


def _request(profile: Profile, container: Container) -> DeviceRequest | None:
    """A count, or memory that stands for one card; a percentage wins over memory, unlike with HAMi's names."""
    names = profile.names
    count = amount(container, names.count, 0, protocol.INT32_MAX)
    memory = amount(container, names.memory, 0, protocol.INT32_MAX, profile.memory_unit_mib)
    percent = amount(container, names.memory_percent, 1, 100)
    cores = amount(container, names.cores, 0, profile.core_max)
    if count is None and (memory or percent):
        count = 1
    if not count:
        return None
    if container.kind is not ContainerKind.APP:
        raise InvalidRequest(
            f"container {container.name!r} asks for {names.count} and is an init container: "
            f"Volcano's plugin serves app containers alone"
        )
    return DeviceRequest(count, memory or None if percent is None else None, percent, cores or 0)


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """The count must stand there, or the kubelet never calls the plugin."""
    request, names = profile.request(container), profile.names
    if request is None:
        return Admission()
    if annotations.get(GROUP_POLICY, SPREAD) != SPREAD:
        raise unknown_word(container, names.count, GROUP_POLICY, annotations, (SPREAD,))
    both = request.memory_percent is not None and amount(container, names.memory, 0, protocol.INT32_MAX)
    text = f"container {container.name!r}: {names.memory} and {names.memory_percent} are both set; the latter wins"
    return Admission(True, resources={names.count: request.count}, warnings=(text,) if both else ())


# -- the cards ---------------------------------------------------------------------------------------------------


def _inventory(known: Sequence[mig.Geometry], profile: Profile, node: Node) -> tuple[Device, ...]:
    """The registered cards, as long as the plugin serves count, memory and cores. The last card's mode is the node's.

    Their order means nothing and no record has a position: cards are numbered by uuid.

    Raises:
        ProtocolError: a record has fewer than six fields, or a number that does not parse.
    """
    text = node.annotations.get(REGISTER, "")
    served = node.allocatable.extended if node.allocatable is not None else None
    if served is not None and any(served.get(name, 0) <= 0 for name in (profile.names.memory, profile.names.cores)):
        return ()
    records = [piece.split(",") for piece in text.split(":") if piece.strip()]
    mode = mig.MODE if records and records[-1][_FIELDS - 1 :][:1] == [mig.MODE] else CORE_MODE
    cards = [_card(index, record, mode) for index, record in enumerate(sorted(records))]
    return tuple(mig.in_parts(REGISTER, card, known) for card in protocol.checked_devices(REGISTER, text, cards))


def _card(index: int, record: Sequence[str], mode: str) -> Device:
    if len(record) < _FIELDS or not record[0]:
        raise ProtocolError(REGISTER, 0, f"record {index} has {len(record)} fields, at least {_FIELDS} are needed")
    health = protocol.parse_bool(record[4])
    if health is None:
        raise ProtocolError(REGISTER, 0, f"record {index}: health {record[4]!r} is neither true nor false")
    return Device(
        uuid=record[0],
        index=index,
        slots=read_number(REGISTER, 0, "count", record[1]),
        memory_mib=read_number(REGISTER, 0, "memory", record[2]),
        cores=100,
        type=record[3],
        healthy=health,
        mode=mode,
    )


def _may_join(context: FitContext, state: CardState) -> Reason | None:
    """As NVIDIA's cards; two pods of a group that spreads are on no card together. Groups are told by name alone."""
    group = context.pod.annotations.get(GROUP)
    if group and context.pod.annotations.get(GROUP_POLICY) == SPREAD:
        of_group = sum(tenant.marks == (group,) for tenant in state.tenants)
        if of_group > state.own_charge.slots:
            return Reason.CUSTOM_FILTER_RULE
    return mig.only_in_parts(context, state)


# -- what is written and read ------------------------------------------------------------------------------------


def _annotate(grant: Grant) -> dict[str, str]:
    """One segment per app container, none behind the last; the plugin knows its pods by node and time.

    Volcano leaves out containers without cards, and its plugin then names the wrong one.
    """
    pairs = zip(grant.pod.containers, grant.given, strict=True)
    text = protocol.encode_shares(shares for container, shares in pairs if container.kind is ContainerKind.APP)
    seconds = str(int(grant.now))
    return {
        ALLOCATED: text.removesuffix(";"),
        TO_ALLOCATE: text.removesuffix(";"),
        NODE: grant.node.name,
        TIME: seconds,
        PHASE: protocol.Phase.ALLOCATING,
        BIND_TIME: seconds,
    }


def _shares_of(profile: Profile, pod: Pod, text: str) -> tuple[tuple[Share, ...], ...]:
    """The segments at the positions of the app containers. Raises ProtocolError."""
    segments = iter(protocol.decode_shares(ALLOCATED, f"{text};"))
    positions = [next(segments, ()) if c.kind is ContainerKind.APP else () for c in pod.containers]
    if next(segments, None) is not None:
        raise ProtocolError(ALLOCATED, 0, "the list has more segments than the pod has app containers")
    return tuple(positions)
