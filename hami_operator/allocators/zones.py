"""Cards in zones (link zones, network groups, physical cards): stay within one, and leave the large ones whole."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Protocol

from hami_operator.core.model import Device
from hami_operator.core.vendor import CardState, Chooser, Outlook


class Zone(Hashable, Protocol):
    """A name of a zone; those of one family can be ordered."""

    def __lt__(self, other: Any, /) -> bool: ...


class Spill(enum.Enum):
    """Which zones are emptied first where no single one holds the request."""

    LARGEST_FIRST = "largest first"
    SMALLEST_FIRST = "smallest first"


def grouped(zone_of: Callable[[Device], Zone | None], spill: Spill, cards: Sequence[CardState] = ()) -> Chooser:
    """A chooser that takes the smallest zone that suffices, else spills over several in the order of ``spill``.

    Equal zones: the lowest name. Cards without a zone are taken last. Inside a zone cards are taken in their order.
    ``cards`` are all cards of the node: a single card comes from a zone in which some card is no candidate any more,
    if there is one.

    HAMi takes the largest zone (Ascend, Vastai) and one of several equal ones at random.
    """
    sizes: dict[Zone | None, int] = {}
    for state in cards:
        zone = zone_of(state.device)
        sizes[zone] = sizes.get(zone, 0) + 1

    def choose(candidates: Sequence[CardState], count: int) -> list[CardState]:
        zones: dict[Zone, list[CardState]] = {}
        alone: list[CardState] = []
        for state in candidates:
            zone = zone_of(state.device)
            if zone is None:
                alone.append(state)
            else:
                zones.setdefault(zone, []).append(state)
        if len(candidates) == count:
            return list(candidates)
        ascending = sorted(zones.items(), key=lambda item: (len(item[1]), item[0]))
        if count == 1:
            ascending.sort(key=lambda item: len(item[1]) >= sizes.get(item[0], 0))
        for _, group in ascending:
            if len(group) >= count:
                return group[:count]
        if spill is Spill.LARGEST_FIRST:
            ascending.sort(key=lambda item: -len(item[1]))
        return [*(state for _, group in ascending for state in group), *alone][:count]

    return choose


#: What a linked pair of cards is worth.
PAIR = 10


def linked_value(zones: Iterable[Zone | None]) -> int:
    """``PAIR`` for each two of these cards that are in one zone (HAMi v2.7.0 pkg/device/metax/sdevice.go)."""
    sizes = Counter(zone for zone in zones if zone is not None)
    return PAIR * sum(size * (size - 1) // 2 for size in sizes.values())


def link_score(idle: Sequence[Zone | None], taken: Sequence[Zone | None]) -> int:
    """What taking these of the idle cards is worth: ten times their links, less the links that the rest loses.

    HAMi v2.7.0 pkg/device/metax/sdevice.go scoreExclusiveDevices.
    """
    left = (Counter(idle) - Counter(taken)).elements()
    gained = linked_value(taken)
    return 10 * gained - (linked_value(idle) - gained - linked_value(left))


#: Links outweigh the load of a node (HAMi v2.7.0 pkg/device/metax/sdevice.go).
LINK_WEIGHT = 10_000


def link_term(outlook: Outlook, taken: Iterable[str], against: str) -> float:
    """What the links of a placement that takes these cards whole are worth as a node score; broken cards are no loss.

    Under the node policy ``against`` good links count against the node.
    """
    zones = {uuid: link_zone(device) for uuid, device in outlook.devices.items()}
    idle = [zones[uuid] for uuid, device in outlook.devices.items() if device.healthy and uuid not in outlook.used]
    sign = -1 if outlook.node_policy == against else 1
    return sign * LINK_WEIGHT * link_score(idle, [zones[uuid] for uuid in taken])


def link_zone(device: Device) -> int | None:
    """The zone that a family's inventory keeps under ``zone``; numbers below 1 are none."""
    zone = device.custom.get("zone")
    return zone if isinstance(zone, int) and zone > 0 else None


def togetherness(outlook: Outlook, zone_of: Callable[[Device], Zone | None]) -> float:
    """How well a placement stays in zones: the part of a container's cards in its largest zone, over all containers.

    0 when a card has no zone. HAMi v2.10.0 pkg/device/ascend/device.go and vastai/device.go ScoreNode.
    """
    total = 0.0
    for shares in outlook.given:
        zones = Counter(zone_of(outlook.devices[share.card]) for share in shares)
        if None in zones:
            return 0.0
        if shares:
            total += max(zones.values()) / len(shares)
    return total
