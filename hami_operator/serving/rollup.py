"""Sums over the cards of one node, by card type: what the overview adds up and the list of nodes shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hami_operator.core import protocol
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Device
from hami_operator.core.record import NodeUsage
from hami_operator.core.vendor import NOTHING, Amounts

from .links import largest_linked
from .metrics.series import in_own_units


@dataclass(slots=True)
class Kind:
    """Cards of one type. ``largest_free_mib``: the most one card that takes pods has left.

    ``free_mib`` and what follows count only cards that take new pods. ``whole_free`` are cards nobody holds a share of,
    ``linked_free`` the most of them that are linked. ``core_unit`` is ``%`` (100 is a card) or ``cores``.
    """

    family: str
    type: str
    core_unit: str
    cards: int = 0
    healthy: int = 0
    memory_mib: int = 0
    given_mib: int = 0
    cores: int = 0
    given_cores: int = 0
    slots: int = 0
    shares: int = 0
    free_mib: int = 0
    largest_free_mib: int = 0
    whole_free: int = 0
    linked_free: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """How full one card is: per mille of its memory, or of its cores or slots where it has no memory."""

    index: int
    per_mille: int
    healthy: bool


@dataclass(slots=True)
class Rollup:
    """One node: why it takes no new pods at all (empty: it does), its cards by (family, type), how full each is."""

    name: str
    excluded: tuple[str, ...] = ()
    quarantined: int = 0
    kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    pods: int = 0


def roll_up(cluster: Cluster, entry: NodeDevices, usage: NodeUsage, _: object = None) -> Rollup:
    """Sum up one node."""
    rollup = Rollup(entry.node.name, tuple(exclusions(entry)))
    quarantined = usage.quarantined()
    rollup.quarantined = len(quarantined)
    rollup.pods = sum(1 for record in usage.pods.values() if record.held)
    for profile in cluster.profiles:
        used = usage.cards.get(profile.key, {})
        takes = not rollup.excluded and profile.key in entry.live and profile.key not in quarantined
        whole: dict[tuple[str, str], list[Device]] = {}
        for device in entry.devices.get(profile.key, ()):
            held, key = used.get(device.uuid, NOTHING), (profile.key, device.type)
            kind = rollup.kinds.get(key)
            if kind is None:
                unit = "cores" if in_own_units(profile) else "%"
                kind = rollup.kinds[key] = Kind(family=profile.key, type=device.type, core_unit=unit)
            _count(kind, device, held)
            rollup.fills.append(Fill(device.index, _fill(device, held), device.healthy))
            if takes and device.healthy and device.uuid not in entry.cordoned and held.slots < device.slots:
                _count_free(kind, device, held)
                if held == NOTHING:
                    whole.setdefault(key, []).append(device)
        for key, devices in whole.items():
            rollup.kinds[key].whole_free = len(devices)
            rollup.kinds[key].linked_free = largest_linked(devices)
    return rollup


def _count(kind: Kind, device: Device, held: Amounts) -> None:
    kind.cards += 1
    kind.healthy += device.healthy
    kind.memory_mib += device.memory_mib
    kind.given_mib += held.memory_mib
    kind.cores += device.cores
    kind.given_cores += held.cores
    kind.slots += device.slots
    kind.shares += held.slots


def _count_free(kind: Kind, device: Device, held: Amounts) -> None:
    free = max(device.memory_mib - held.memory_mib, 0)
    kind.free_mib += free
    kind.largest_free_mib = max(kind.largest_free_mib, free)


def _fill(device: Device, held: Amounts) -> int:
    pairs = ((held[1], device.memory_mib), (held[2], device.cores), (held[0], device.slots))
    for used, total in pairs:
        if total:
            return min(round(1000 * used / total), 1000)
    return 0


def exclusions(entry: NodeDevices) -> Iterator[str]:
    """Why the whole node takes no new pods with cards."""
    node = entry.node
    if not node.ready:
        yield "the node is not Ready"
    if node.unschedulable:
        yield "the node is cordoned (spec.unschedulable)"
    if entry.devices and not entry.live and node.ready:
        yield "cards are registered but none is allocatable: the device plugin is not at work"


def remarks(entry: NodeDevices, usage: NodeUsage) -> Iterator[str]:
    """What keeps some pods or some cards away from the node."""
    node = entry.node
    for taint in node.taints:
        yield f"taint {taint.key}={taint.value}:{taint.effect}" if taint.value else f"taint {taint.key}:{taint.effect}"
    for family, problem in entry.broken.items():
        yield f"{family}: {problem}; the last good list of cards is kept"
    for family, problem in usage.quarantined().items():
        yield f"{family} takes no new pods: {problem}"
    if entry.live:
        for family in sorted(entry.devices.keys() - entry.live):
            yield f"{family}: cards are registered but none is allocatable: its plugin is not at work"
    if entry.cordoned:
        yield f"cards kept from new pods by {protocol.DEVICE_CORDON}: {', '.join(sorted(entry.cordoned))}"
