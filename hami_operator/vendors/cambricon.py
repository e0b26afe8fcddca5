"""Cambricon MLUs in dynamic-smlu mode: one slice per container, described to the vendor's plugin by two annotations.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/cambricon/device.go; cambricon-k8s-device-plugin v2.0.23. The plugin is
called for cores and for memory, never for the count, and its profile describes one slot: hence the refusals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hami_operator.core.capacity import SplitCards
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container
from hami_operator.core.request import read_request
from hami_operator.core.vendor import (
    Admission,
    Grant,
    Hooks,
    Profile,
    SelectionKeys,
    SharedNames,
    annotate_lists,
)

SECTION = "cambricon"
KEY = "MLU"

UNIT_MIB = 256
CARD_CORES = 100
PROFILE_KEY = "CAMBRICON_DSMLU_PROFILE"
INSTANCE_KEY = "CAMBRICON_DSMLU_PROFILE_INSTANCE"

#: HAMi documents these and never reads them.
TYPE_KEYS = ("cambricon.com/use-mlutype", "cambricon.com/nouse-mlutype")

#: The flag that the plugin waits for. It reads the first spelling; HAMi v2.10 writes the second.
FLAG_KEYS = {
    "2.7": ("CAMBRICON_DSMLU_ASSIGHED",),
    "2.10": ("CAMBRICON_DSMLU_ASSIGNED",),
    "both": ("CAMBRICON_DSMLU_ASSIGHED", "CAMBRICON_DSMLU_ASSIGNED"),
}


@dataclass(frozen=True, slots=True)
class Settings(SharedNames):
    """The ``cambricon`` section of the device configuration; ``dialect`` is a key of ``FLAG_KEYS``."""

    dialect: str


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            to_allocate_key="hami.io/cambricon-mlu-devices-to-allocate",
            allocated_key="hami.io/cambricon-mlu-devices-allocated",
            lock_key="cambricon.com/dsmlu.lock",
            request_of=read_request,
            inventory_of=SplitCards("cambricon-mlu", CARD_CORES).devices,
            live_name=settings.core_name,
            selection=SelectionKeys(
                use_uuid="cambricon.com/use-gpuuuid",
                nouse_uuid="cambricon.com/nouse-gpuuuid",
            ),
            extra_keys=(PROFILE_KEY, INSTANCE_KEY, *FLAG_KEYS["both"]),
            memory_unit_mib=UNIT_MIB,
            core_default=CARD_CORES,
            one_container="the plugin serves pods of which one container has a slice, and finds none to serve here",
            hooks=Hooks(admit=_admit, annotate=partial(_annotate, FLAG_KEYS[settings.dialect])),
        ),
    )


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Both amounts must stand there for the plugin to be called: cores are filled in, memory can't be guessed."""
    request = profile.request(container)
    if request is None:
        return Admission()
    names = profile.names
    if request.memory_mib is None:
        raise InvalidRequest(
            f"container {container.name!r}: {names.count} without {names.memory} never reaches the vendor's plugin; "
            f"allowed is {names.memory} from 1 up, in units of {UNIT_MIB} MiB"
        )
    if not request.cores:
        raise InvalidRequest(f"container {container.name!r}: {names.cores} is 0, allowed is an integer from 1 to 100")
    if request.count > 1 and request.cores != CARD_CORES:
        raise InvalidRequest(
            f"container {container.name!r}: {names.count} is {request.count} with {names.cores} {request.cores}; "
            f"allowed is {names.count} 1 for a part of a card, since the plugin makes one slice per container"
        )
    warnings = tuple(
        f"annotation {key} has no effect: nodes don't tell the model of their cards"
        for key in TYPE_KEYS
        if key in annotations
    )
    return Admission(claimed=True, resources={names.cores: request.cores}, warnings=warnings)


def _annotate(flags: Sequence[str], grant: Grant) -> dict[str, str]:
    """The lists, the flag, and ``<card index>_<cores>_<memory units>`` of the first card of all.

    HAMi: v2.7.0 looked at the first container alone and crashed where that has no card.
    """
    first = next(share for shares in grant.given for share in shares)
    index = grant.devices[first.card].index
    own = {PROFILE_KEY: f"{index}_{first.cores}_{first.memory_mib // UNIT_MIB}", **dict.fromkeys(flags, "false")}
    return annotate_lists(grant) | own
