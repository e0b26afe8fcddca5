"""NVIDIA MIG as hooks: cards become cards in parts, a request takes parts of them, pods tell which parts they hold.

A share of a part carries its place in its uuid, in either model: ``GPU-x[1-0]`` is position 0 of layout 1,
``GPU-x[2g.10gb-4]`` the profile that begins at slice 4. Only what is written for plugins of HAMi v2.10 differs: there
the list names the card, and the parts stand in an annotation of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.errors import ProtocolError
from hami_operator.core.jsonfields import Record, read_json, read_records
from hami_operator.core.model import Device, Pod, Share
from hami_operator.core.reasons import Reason
from hami_operator.core.vendor import CardState, Charge, FitContext, Grant, Profile, annotate_lists, read_shares

from .partitions import Kind, Layouts, Partitions, Placements, Shape, Slot, layout, same_model

#: The mode of a card that is cut (HAMi v2.7.0 pkg/device/nvidia/device.go).
MODE = "mig"

#: Which parts a pod has, for plugins that cut every part by itself (HAMi v2.10.0 pkg/device/nvidia).
ALLOCATIONS = "hami.io/vgpu-mig-allocations"

_RUNTIME = ("migUUID", "gpuInstanceID", "computeInstanceID")


@dataclass(frozen=True, slots=True)
class Geometry:
    """The layouts that cards of these models may have."""

    models: tuple[str, ...]
    layouts: Layouts


def read_geometries(sections: Iterable[Mapping[str, Any]]) -> tuple[Geometry, ...]:
    """``knownMigGeometries`` of the device configuration, each layout with its name and kinds."""
    return tuple(
        Geometry(
            tuple(section["models"]),
            Layouts(
                tuple(
                    layout(
                        each["name"], (Kind(kind["name"], kind["memory_mib"], kind["count"]) for kind in each["kinds"])
                    )
                    for each in section["layouts"]
                )
            ),
        )
        for section in sections
    )


# -- the cards ---------------------------------------------------------------------------------------------------


def in_parts(key: str, device: Device, known: Sequence[Geometry]) -> Device:
    """The card with its partitions, if it is in MIG mode: those it registers, else those its model is known for.

    A card of an unknown model has none, and nothing of it can be given. Memory and compute are at least what the parts
    add up to: drivers report less memory than the tables say, and round the compute of each profile up.

    Raises:
        ProtocolError: what the card registers as its profiles can't be read.
    """
    if device.mode != MODE:
        return device
    profiles = device.custom.get(protocol.MIG_PROFILES)
    partitions = _read_profiles(key, device.uuid, profiles) if profiles else _of_model(device.type, known)
    most = partitions.most()
    return replace(
        device,
        memory_mib=max(device.memory_mib, most.memory_mib),
        cores=max(device.cores, most.cores),
        parts=max(most.parts, 1),
        custom={**device.custom, "partitions": partitions},
    )


def _of_model(model: str, known: Sequence[Geometry]) -> Partitions:
    found = (geometry.layouts for geometry in known if any(same_model(name, model) for name in geometry.models))
    return next(found, Layouts(()))


def _read_profiles(key: str, uuid: str, profiles: object) -> Placements:
    """``migProfiles`` of a register record (HAMi v2.10.0), the smallest first. Raises ProtocolError."""
    try:
        shapes = [_shape(record) for record in read_records(key, profiles)]
    except ProtocolError as error:
        raise ProtocolError(key, 0, f"card {uuid!r}: {protocol.MIG_PROFILES}: {error.problem}") from None
    names = [shape.profile for shape in shapes]
    if len(set(names)) < len(names):
        raise ProtocolError(key, 0, f"card {uuid!r}: {protocol.MIG_PROFILES}: a profile is listed twice")
    return Placements(tuple(sorted(shapes, key=lambda shape: (shape.memory_mib, shape.size, shape.profile))))


def _shape(record: Record) -> Shape:
    name, memory = record.text("name"), record.number("memoryMB")
    places = [
        (place.number("start"), place.number("size"))
        for place in read_records(record.key, record.fields.get("placements"))
    ]
    sizes = {size for _, size in places}
    if not name or "-" in name or not memory or len(sizes) != 1 or not 0 < max(sizes) <= _MOST_SLICES:
        raise ProtocolError(record.key, 0, f"{record.place} {name!r} is no profile with memory and places of one size")
    if max(start for start, _ in places) > _MOST_SLICES:
        raise ProtocolError(record.key, 0, f"{record.place} {name!r} begins behind slice {_MOST_SLICES}")
    starts = tuple(sorted({start for start, _ in places}))
    return Shape(name, memory, record.number("core"), starts, max(sizes))


#: More slices than any card has.
_MOST_SLICES = 64


def _partitions(device: Device) -> Partitions:
    partitions: Partitions = device.custom["partitions"]  # type: ignore[assignment]
    return partitions


# -- what a request gets -----------------------------------------------------------------------------------------


def slot_of(share: Share) -> Slot:
    """The place of a share of a part. Raises ProtocolError."""
    place = protocol.split_place("", 0, share)
    assert place is not None, share
    return Slot(*place)


def only_in_parts(context: FitContext, state: CardState) -> Reason | None:
    """A card that is not in MIG mode and of which some pod holds a part: nobody knows what is left of it."""
    held = any(tenant.share.place for tenant in state.tenants)
    return Reason.CARD_PARTITIONS_UNKNOWN if held and not state.device.parts else None


def parts(context: FitContext, state: CardState, charge: Charge) -> Sequence[Charge] | Reason:
    """The parts of one card that the request gets, one after the other, each the smallest that will do.

    All of the card, or nothing said about memory, is the part that is the whole card, however the driver rounds it.
    The part's memory is charged, and its compute where the card tells it.
    """
    partitions, request = _partitions(state.device), context.request
    taken = [slot_of(tenant.share) for tenant in state.tenants if tenant.share.place]
    if state.used_slots > len(taken) or partitions.problem(taken):
        return Reason.CARD_PARTITIONS_UNKNOWN
    whole = request.memory_mib is None and request.memory_percent in (None, 100)
    memory = partitions.whole_mib() if whole else charge.memory_mib
    found: list[Charge] = []
    while memory is not None and len(found) < min(request.count, _at_most(state, charge)):
        part = partitions.find(taken, memory)
        if part is None:
            break
        taken.append(part.slot)
        cores = charge.cores if part.cores is None else part.cores
        found.append(replace(charge, memory_mib=part.memory_mib, cores=cores, place="{}-{}".format(*part.slot)))
    return found or partitions.refusal


def _at_most(state: CardState, charge: Charge) -> int:
    """How many shares more the card has by its slots and cores; one for who wants all cores."""
    if charge.cores >= 100:
        return 1
    slots = state.device.slots - state.used_slots
    return min(slots, (charge.total_cores - state.used_cores) // charge.cores) if charge.cores else slots


# -- what is written and read ------------------------------------------------------------------------------------


def annotate_parts(grant: Grant) -> dict[str, str]:
    """The lists of the protocol; parts of cards that are cut one by one stand in their own annotation."""
    given = [[_placed(grant, share) for share in shares] for shares in grant.given]
    records = [
        {"containerIndex": container, "deviceIndex": number, "gpuUUID": share.card, **placed}
        for container, shares in enumerate(given)
        for number, (share, placed) in enumerate(shares)
        if placed
    ]
    plain = [[replace(share, uuid=share.card) if placed else share for share, placed in shares] for shares in given]
    lists = annotate_lists(replace(grant, given=plain))
    return lists | {ALLOCATIONS: json.dumps(records, separators=(",", ":"))} if records else lists


def _placed(grant: Grant, share: Share) -> tuple[Share, dict[str, object]]:
    """A share, and the profile and placement of its part if that is told apart from the list."""
    partitions = grant.devices[share.card].custom.get("partitions")
    if not share.place or not isinstance(partitions, Placements):
        return share, {}
    slot = slot_of(share)
    placement = {"start": slot.position, "size": partitions.length(slot)}
    return share, {"profile": slot.plan, "placement": placement}


def read_parts(profile: Profile, pod: Pod, text: str) -> tuple[tuple[Share, ...], ...]:
    """A pod's device list, with the parts that it names in their own annotation.

    Raises:
        ProtocolError: either text is malformed, or they do not belong together.
    """
    positions = read_shares(profile, pod, text)
    allocations = pod.annotations.get(ALLOCATIONS)
    if not allocations:
        return positions
    shares = {(c, d): share for c, listed in enumerate(positions) for d, share in enumerate(listed)}
    seen = set()
    for record in read_records(ALLOCATIONS, read_json(ALLOCATIONS, allocations)):
        where, uuid, slot = _allocation(record)
        if where in seen:
            raise ProtocolError(ALLOCATIONS, 0, f"{record.place}: container and device {where} are listed twice")
        seen.add(where)
        if where not in shares or shares[where].uuid != uuid:
            raise ProtocolError(ALLOCATIONS, 0, f"{record.place}: {uuid!r} is not device {where} of the pod's list")
        shares[where] = replace(shares[where], uuid=f"{uuid}[{slot.plan}-{slot.position}]")
        protocol.split_place(ALLOCATIONS, 0, shares[where])
    return tuple(tuple(shares[c, d] for d in range(len(listed))) for c, listed in enumerate(positions))


def _allocation(record: Record) -> tuple[tuple[int, int], str, Slot]:
    """(container, device), card and place of one part. The runtime's three ids come together or not at all."""
    place = record.fields.get("placement")
    if not record.text("gpuUUID") or not record.text("profile") or not isinstance(place, dict):
        raise ProtocolError(ALLOCATIONS, 0, f"{record.place} lacks gpuUUID, profile or placement")
    inner = Record(ALLOCATIONS, f"{record.place}: placement", place)
    if not inner.number("size"):
        raise ProtocolError(ALLOCATIONS, 0, f"{record.place}: placement has no size")
    if len({name in record.fields for name in _RUNTIME}) > 1:
        raise ProtocolError(ALLOCATIONS, 0, f"{record.place} has only some of {', '.join(_RUNTIME)}")
    where = record.number("containerIndex"), record.number("deviceIndex")
    return where, record.text("gpuUUID"), Slot(record.text("profile"), inner.number("start"))
