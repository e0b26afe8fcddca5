"""Hard partitions of a card as they are shown: which there are now, and who has which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hami_operator.allocators.partitions import Layouts, Placements, Slot
from hami_operator.core.model import Device
from hami_operator.core.record import NodeUsage


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part of a card. ``slot`` is its place as shares write it, ``start`` and ``size`` the same to be drawn.

    Sizes are memory slices of ``whole`` where parts are cut one by one, else MiB. ``pod`` is empty for one that is
    free: a layout is known as a whole as soon as somebody has a part of it.
    """

    slot: str
    profile: str
    start: int
    size: int
    whole: int
    pod: str


def parts_of(family: str, device: Device, usage: NodeUsage) -> list[PartRow]:
    """The parts of one card, by their place; none of a card that is not cut."""
    partitions = device.custom.get("partitions")
    if isinstance(partitions, Placements):
        return list(_placed(partitions, _taken(family, device.uuid, usage)))
    if isinstance(partitions, Layouts):
        return list(_laid_out(partitions, _taken(family, device.uuid, usage)))
    return []


def _taken(family: str, card: str, usage: NodeUsage) -> Mapping[Slot, str]:
    """Places of the card that shares name, with their pods. ``GPU-x[1-0]``: see ``allocators.mig``."""
    found: dict[Slot, str] = {}
    for record in usage.pods.values():
        for owner, _, share in record.allocation.shares():
            if owner == family and share.card == card and share.uuid != card:
                plan, _, position = share.uuid[len(card) + 1 : -1].rpartition("-")
                if plan and position.isdecimal():
                    found[Slot(plan, int(position))] = str(record.key)
    return found


def _placed(partitions: Placements, taken: Mapping[Slot, str]) -> Iterable[PartRow]:
    sizes = {shape.profile: shape.size for shape in partitions.shapes}
    whole = max(shape.end for shape in partitions.shapes)
    for slot in sorted(taken, key=lambda slot: slot.position):
        if slot.plan in sizes:
            yield PartRow(
                f"{slot.plan}-{slot.position}", slot.plan, slot.position, sizes[slot.plan], whole, taken[slot]
            )


def _laid_out(partitions: Layouts, taken: Mapping[Slot, str]) -> Iterable[PartRow]:
    plans = {slot.plan for slot in taken}
    for layout in partitions.layouts:
        if layout.name in plans:
            start, whole = 0, sum(part.memory_mib for part in layout.parts)
            for part in layout.parts:
                place = f"{part.slot.plan}-{part.slot.position}"
                yield PartRow(place, part.profile, start, part.memory_mib, whole, taken.get(part.slot, ""))
                start += part.memory_mib
