"""Kunlunxin vXPUs: quarters, halves and whole cards; all slices on a card have one size, one request many cards.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/kunlun/{vdevice,topology}.go. A node's driver has 32 handles, of which a
card takes one and a cut card one more per slice of its cut: HAMi documents that and never counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hami_operator.allocators.wings import BOARD, any_count, sparing
from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, Device, DeviceRequest
from hami_operator.core.reasons import Reason
from hami_operator.core.request import amount, memory_amount, registered_devices
from hami_operator.core.vendor import (
    Admission,
    CardState,
    Charge,
    Check,
    Chooser,
    FitContext,
    Hooks,
    Profile,
    ResourceNames,
    SelectionKeys,
)

SECTION = "kunlun"
KEY = "XPU"

#: Memory of the card model that admission knows; a node's cards are cut by what they register.
CARD_MIB = 98304
#: In how many slices a card can be cut, the smallest first.
CUTS = (4, 2, 1)
HANDLES = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``kunlun`` section of the device configuration, as far as slices go."""

    slice_name: str
    slice_memory_name: str


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The family of slices."""
    return (
        Profile(
            key=KEY,
            names=ResourceNames(settings.slice_name, memory=settings.slice_memory_name),
            register_key="hami.io/node-register-xpu",
            handshake_key="hami.io/node-handshake-xpu",
            to_allocate_key="hami.io/xpu-devices-to-allocate",
            allocated_key="hami.io/xpu-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=_request,
            inventory_of=registered_devices,
            selection=SelectionKeys(
                use_uuid="hami.io/use-xpu-uuid",
                nouse_uuid="hami.io/no-use-xpu-uuid",
                also_use_uuid=("baidu.com/use-gpuuuid",),
                also_nouse_uuid=("baidu.com/nouse-gpuuuid",),
            ),
            tenant_keys=(),
            checks=(Check.HEALTH, Check.CORDON, Check.UUID, Check.MUTEX, Check.MEMORY, Check.PREDICATE),
            hooks=Hooks(
                admit=_admit, charge=_charge, predicate=_same_size, chooser=_chooser, no_choice=Reason.NUMA_NOT_FIT
            ),
        ),
    )


# -- what is asked -----------------------------------------------------------------------------------------------


def _request(profile: Profile, container: Container) -> DeviceRequest | None:
    """Memory per slice in MiB, or in bytes with a binary suffix; none is the whole card."""
    count = amount(container, profile.names.count, 1, protocol.INT32_MAX)
    memory = memory_amount(container, profile.names.memory, 1)
    return None if count is None else DeviceRequest(count, memory)


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """The memory that is granted is written back; what no node can hold is refused."""
    request, names = profile.request(container), profile.names
    if request is None:
        return Admission()
    if request.count > BOARD:
        raise InvalidRequest(
            f"container {container.name!r}: {names.count} is {request.count}, allowed is an integer from 1 to {BOARD}: "
            f"each is on a card of its own"
        )
    if request.memory_mib is None:
        return Admission(claimed=True)
    if request.memory_mib > CARD_MIB:
        raise InvalidRequest(
            f"container {container.name!r}: {names.memory} is {request.memory_mib}, "
            f"allowed is an integer from 0 to {CARD_MIB}"
        )
    cut = _cut(request.memory_mib, CARD_MIB)
    if BOARD + request.count * _handles(cut) > HANDLES:
        most = (HANDLES - BOARD) // _handles(cut)
        raise InvalidRequest(
            f"container {container.name!r}: {names.count} is {request.count} with {names.memory} "
            f"{request.memory_mib}, allowed is an integer from 1 to {most}: a node's driver has {HANDLES} handles, "
            f"and {BOARD} cards of which {request.count} are cut in {cut} need "
            f"{BOARD + request.count * _handles(cut)}"
        )
    return Admission(claimed=True, resources={names.memory: CARD_MIB // cut})


def _cut(asked_mib: int | None, card_mib: int) -> int:
    """In how many slices a card is cut for this request: the smallest slice that holds it."""
    return next((cut for cut in CUTS if asked_mib is not None and asked_mib <= card_mib // cut), 1)


def _handles(cut: int) -> int:
    """Handles beyond its own that a card takes."""
    return cut if cut > 1 else 0


# -- the cards ---------------------------------------------------------------------------------------------------


def _charge(context: FitContext, device: Device) -> Charge:
    asked = context.request.memory_mib
    cut = _cut(asked, device.memory_mib)
    return Charge(max(device.memory_mib // cut, asked or 0), device.cores // cut, device.cores)


def _same_size(context: FitContext, state: CardState) -> Reason | None:
    """HAMi compares with the average; here each slice on the card counts."""
    size = _charge(context, state.device).memory_mib
    alike = all(tenant.share.memory_mib == size for tenant in state.tenants)
    return None if alike else Reason.CUSTOM_FILTER_RULE


def _chooser(context: FitContext) -> Chooser:
    """By wings, cut cards first, so that no handle is wasted; and never beyond the node's handles."""
    spare = HANDLES - len(context.cards) - sum(_handles(_cut_of(state)) for state in context.cards)

    def choose(candidates: Sequence[CardState], count: int) -> Sequence[CardState] | Reason | None:
        by_index = {state.device.index: state for state in candidates}
        cost = _handles(_cut(context.request.memory_mib, candidates[0].device.memory_mib))
        cut = [index for index, state in by_index.items() if _handles(_cut_of(state)) >= cost]
        cut.sort(key=lambda index: (by_index[index].used_slots * (-1 if context.policy.pack else 1), index))
        uncut = sorted(by_index.keys() - set(cut))
        if any_count([*cut, *uncut], count) is None:
            return None
        chosen = sparing(cut, uncut, count, max(0, spare // cost) if uncut else 0)
        return Reason.CARD_HANDLE_LIMIT if chosen is None else [by_index[index] for index in sorted(chosen)]

    return choose


def _cut_of(state: CardState) -> int:
    """In how many slices a card is cut. What the pod's own init containers cut is whole again before its apps start."""
    return max((_cut(tenant.share.memory_mib, state.device.memory_mib) for tenant in state.tenants), default=1)
