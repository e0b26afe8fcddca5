"""Iluvatar GPUs, both generations: one family counted from the node's amounts, or one family per chip that registers.

Sources: HAMi v2.7.0 pkg/device/iluvatar/device.go (gpu-manager's annotations) and v2.10.0 (per chip). HAMi v2.7.0 goes
through the cards from the first to the last, which turns binpack and spread round; here they mean what they say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hami_operator.core import protocol
from hami_operator.core.capacity import SplitCards
from hami_operator.core.model import Container
from hami_operator.core.request import amount, overruled, read_request, registered_devices
from hami_operator.core.vendor import (
    Admission,
    Grant,
    Hooks,
    Profile,
    SelectionKeys,
    SharedNames,
    annotate_lists,
)

SECTION = "iluvatar"
KEY = "Iluvatar"

UNIT_MIB = 256
CARD_CORES = 100
#: The flag that gpu-manager sets to ``true`` when the pod has its cards.
ASSIGNED = "iluvatar.ai/gpu-assigned"
INDEX_PREFIX = "iluvatar.ai/predicate-gpu-idx-"


@dataclass(frozen=True, slots=True)
class Chip(SharedNames):
    """One entry of ``iluvatars``; ``word`` names the chip in every key."""

    word: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The names of v2.7's section ``iluvatar``, and the chips of v2.10's ``iluvatars``."""

    counted: Mapping[str, str] | None = None
    chips: Sequence[Mapping[str, str]] = ()


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The family of v2.7 and one family per chip."""
    counted = (_counted_profile(SharedNames(**settings.counted)),) if settings.counted else ()
    return (*counted, *(_chip_profile(Chip(**chip)) for chip in settings.chips))


def _counted_profile(names: SharedNames) -> Profile:
    return Profile(
        key=KEY,
        names=names.names(),
        to_allocate_key="hami.io/iluvatar-vgpu-devices-to-allocate",
        allocated_key="hami.io/iluvatar-vgpu-devices-allocated",
        request_of=read_request,
        inventory_of=SplitCards("iluvatar", CARD_CORES).devices,
        live_name=names.core_name,
        selection=SelectionKeys(use_uuid="iluvatar.ai/use-gpuuuid", nouse_uuid="iluvatar.ai/nouse-gpuuuid"),
        lock_key=protocol.OWN_LOCK.format("iluvatar"),
        served_key=ASSIGNED,
        extra_keys=(ASSIGNED, "iluvatar.ai/predicate-time"),
        extra_prefixes=(INDEX_PREFIX,),
        memory_unit_mib=UNIT_MIB,
        core_max=protocol.INT32_MAX,
        hooks=Hooks(admit=_admit_counted, annotate=_annotate_indexes),
    )


def _chip_profile(chip: Chip) -> Profile:
    word = chip.word
    return Profile(
        key=word,
        names=chip.names(),
        register_key=f"hami.io/node-{word}-register",
        handshake_key=f"hami.io/node-handshake-{word}",
        to_allocate_key=f"hami.io/{word}-devices-to-allocate",
        allocated_key=f"hami.io/{word}-devices-allocated",
        lock_key=protocol.NODE_LOCK,
        request_of=read_request,
        inventory_of=registered_devices,
        selection=SelectionKeys(use_uuid=f"hami.io/use-{word}-uuid", nouse_uuid=f"hami.io/no-use-{word}-uuid"),
        memory_unit_mib=UNIT_MIB,
        core_max=protocol.INT32_MAX,
        hooks=Hooks(admit=_admit_chip),
    )


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Several cards are taken with all their cores, and the amount of cores is their total."""
    request = profile.request(container)
    if request is None:
        return Admission()
    name = profile.names.cores
    if request.count == 1:
        amount(container, name, 0, CARD_CORES)
        return Admission(claimed=True)
    total = {name: request.count * CARD_CORES}
    return Admission(claimed=True, resources=total, warnings=overruled(container, total))


def _admit_counted(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """As above. The plugin is called for memory and cores alone; HAMi takes a count for all of the memory."""
    admission, names = _admit(profile, container, annotations), profile.names
    amounts = {**container.requests, **container.limits, **admission.resources}
    if not admission.claimed or names.memory in amounts or names.cores in amounts:
        return admission
    text = f"{names.count} without {names.memory} and {names.cores} never reaches the vendor's plugin"
    return replace(admission, warnings=(f"container {container.name!r}: {text}: the container starts without a card",))


def _admit_chip(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """As above, and the container learns its name, under the misspelled variable that the runtime reads."""
    admission = _admit(profile, container, annotations)
    if not admission.claimed:
        return admission
    return replace(admission, env=(("SOL_CONTINER_NAME", container.name),))


def _annotate_indexes(grant: Grant) -> dict[str, str]:
    """What gpu-manager reads: card indexes by container position, none for a container without cards."""
    written = annotate_lists(grant)
    written |= {ASSIGNED: "false", "iluvatar.ai/predicate-time": grant.nanoseconds}
    for position, shares in enumerate(grant.given):
        if shares:
            written[f"{INDEX_PREFIX}{position}"] = grant.indexes(shares)
    return written
