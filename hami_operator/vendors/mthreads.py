"""Moore Threads GPUs (MTT S4000): amounts are a container's total, and all containers of a pod share one card.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/mthreads/device.go. The vendor's toolkit reads one list of card indexes per
pod, hence the one card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hami_operator.core import protocol
from hami_operator.core.capacity import SplitCards
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, DeviceRequest
from hami_operator.core.request import amount, overruled, read_request
from hami_operator.core.vendor import (
    Admission,
    Grant,
    Hooks,
    Profile,
    SelectionKeys,
    SharedNames,
    annotate_lists,
    one_card,
)

SECTION = "mthreads"
KEY = "Mthreads"

UNIT_MIB = 512
CARD_CORES = 16
CARD_UNITS = 96
LEGAL_UNITS = (2, 4, 8, 16, 32, 64, 96)

COUNT_KEY = "mthreads.com/request-gpu-num"
INDEX_KEY = "mthreads.com/gpu-index"
NODE_KEY = "mthreads.com/predicate-node"
TIME_KEY = "mthreads.com/predicate-time"

#: The ``mthreads`` section of the device configuration.
Settings = SharedNames


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            allocated_key="hami.io/mthreads-vgpu-devices-allocated",
            request_of=_request,
            inventory_of=SplitCards("mthreads", CARD_CORES).devices,
            live_name=settings.core_name,
            selection=SelectionKeys(
                use_uuid="mthreads.ai/use-gpuuuid",
                nouse_uuid="mthreads.ai/nouse-gpuuuid",
                also_use_uuid=("mthreads.com/use-gpuuuid",),
                also_nouse_uuid=("mthreads.com/nouse-gpuuuid",),
            ),
            extra_keys=(INDEX_KEY, NODE_KEY, TIME_KEY),
            memory_unit_mib=UNIT_MIB,
            core_max=protocol.INT32_MAX,
            hooks=Hooks(admit=_admit, predicate=one_card, annotate=_annotate),
        ),
    )


def _request(profile: Profile, container: Container) -> DeviceRequest | None:
    """Totals divided by the count, rounded up: nobody gets a part that is not charged."""
    total = read_request(profile, container)
    if total is None or total.count == 1:
        return total
    memory = total.memory_mib
    per_card = None if memory is None else -(-memory // total.count)
    return replace(total, memory_mib=per_card, cores=-(-(total.cores or 0) // total.count))


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Several cards are whole cards; one card is whole unless a legal part of its memory is named."""
    names = profile.names
    count = amount(container, names.count, 1, protocol.INT32_MAX)
    if count is None:
        return Admission()
    if count > 1:
        return _whole_cards(profile, container, count, annotations)
    cores = amount(container, names.cores, 0, CARD_CORES)
    units = amount(container, names.memory, 0, protocol.INT32_MAX, UNIT_MIB)
    if units is None:
        return Admission(
            claimed=True, resources={names.memory: CARD_UNITS, names.cores: CARD_CORES if cores is None else cores}
        )
    if units not in LEGAL_UNITS:
        allowed = ", ".join(str(legal) for legal in LEGAL_UNITS)
        raise InvalidRequest(
            f"container {container.name!r}: {names.memory} is {units}, allowed are {allowed} (units of {UNIT_MIB} MiB)"
        )
    return Admission(claimed=True)


def _whole_cards(profile: Profile, container: Container, count: int, annotations: Mapping[str, str]) -> Admission:
    written = annotations.get(COUNT_KEY, str(count))
    if written != str(count):
        raise InvalidRequest(
            f"container {container.name!r}: annotation {COUNT_KEY} is {written!r}, allowed is {profile.names.count}, "
            f"which is {count}, or none: it is filled in"
        )
    resources = {profile.names.memory: CARD_UNITS * count, profile.names.cores: CARD_CORES * count}
    return Admission(
        claimed=True,
        resources=resources,
        annotations={COUNT_KEY: str(count)},
        warnings=overruled(container, resources),
    )


def _annotate(grant: Grant) -> dict[str, str]:
    """The list and what the vendor's toolkit reads: the indexes of the last container that has cards."""
    last = [shares for shares in grant.given if shares][-1]
    indexes = {INDEX_KEY: grant.indexes(last), NODE_KEY: grant.node.name, TIME_KEY: grant.nanoseconds}
    return annotate_lists(grant) | indexes
