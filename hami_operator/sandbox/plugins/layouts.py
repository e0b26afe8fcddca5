"""NVIDIA cards that a plugin cuts as a whole: layouts of parts, as the plugin's configuration lists them.

A share names its part behind the card, ``GPU-x[1-0]``: the layout and a position in it. The plugin cuts an idle card;
one that is in use stays as it is, and no part of it is there twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

from hami_operator.core.model import Device, Share
from hami_operator.core.protocol import split_place
from hami_operator.sandbox.errors import AllocateFailed

from .habits import Desk, Injection

#: By layout the memory of its parts in MiB, in the order of their positions.
Layouts = Mapping[str, tuple[int, ...]]

_A30 = ((6144,) * 4, (12288,) * 2, (24576,))
_A100_40 = ((5120,) * 7, (10240, 10240, 10240, 5120), (20480,) * 2, (40960,))
_A100_80 = ((10240,) * 7, (20480, 20480, 20480, 10240), (40960,) * 2, (80896,))
#: What drivers report for cards of 80 GB.
_REAL_80 = ((9728,) * 7, (19968, 19968, 19968, 9728), (40192,) * 2, (80896,))


def _by_position(*layouts: tuple[int, ...]) -> Layouts:
    return {str(position): layout for position, layout in enumerate(layouts)}


def _by_group(*layouts: tuple[int, ...]) -> Layouts:
    return {f"group{number}": layout for number, layout in enumerate(layouts, start=1)}


#: Product -> layouts: ``knownMigGeometries`` of HAMi v2.7.0's chart, with the H100 added as an administrator would.
HAMI = {
    "A30": _by_position(*_A30),
    "A100-SXM4-40GB": _by_position(*_A100_40),
    "A100-SXM4-80GB": _by_position(*_A100_80),
    "H100 80GB HBM3": _by_position(*_REAL_80),
}
#: The same of the file that Volcano's plugin ships, whose layouts are groups with names.
VOLCANO = {
    "A30": _by_group(*_A30),
    "A100-SXM4-40GB": _by_group(*_A100_40),
    "A100-SXM4-80GB": _by_group(*_REAL_80),
}


def check(desk: Desk, shares: Sequence[Share], known: Mapping[str, Layouts]) -> None:
    """Whether the cards can be cut so that these parts are there. Raises AllocateFailed, ProtocolError."""
    for number, share in enumerate(shares):
        place = split_place("", 0, share)
        if place is None:
            raise AllocateFailed(f"{share.uuid} is in MIG mode and the allocation names no part of it")
        card = next((card for card in desk.cards if card.uuid == share.card), None)
        if card is not None:  # the checker tells of a card that is not here
            before = [tenant.share for tenant in desk.tenants(share.card)]
            before += [other for other in shares[:number] if other.card == share.card]
            _check_part(share, place, _layouts_of(card, known))
            _check_beside(share, place[0], before)


def _layouts_of(card: Device, known: Mapping[str, Layouts]) -> Layouts:
    return next((layouts for product, layouts in known.items() if product in card.type), {})


def _check_part(share: Share, place: tuple[str, int], layouts: Layouts) -> None:
    layout, position = place
    parts = layouts.get(layout, ())
    if position >= len(parts):
        raise AllocateFailed(
            f"{share.uuid} is no part of the card, whose layouts are {', '.join(layouts) or 'unknown'}"
        )
    if parts[position] != share.memory_mib:
        raise AllocateFailed(f"{share.uuid} has {parts[position]} MiB, {share.memory_mib} MiB are counted")


def _check_beside(share: Share, layout: str, before: Iterable[Share]) -> None:
    for other in before:
        if other.place == share.place:
            raise AllocateFailed(f"{share.uuid} is in use already")
        if other.place.rpartition("-")[0] != layout:
            raise AllocateFailed(f"{share.uuid} needs another layout than {other.uuid}, which is in use")


def visible(parts: Iterable[Share]) -> Injection:
    """What a container of such a card is told: its parts and nothing else, as the hardware keeps its limits."""
    return Injection({"NVIDIA_VISIBLE_DEVICES": ",".join(part_id(part) for part in parts)})


def part_id(part: Share) -> str:
    """How the driver calls a part."""
    return f"MIG-{uuid.uuid5(uuid.NAMESPACE_OID, part.uuid)}"
