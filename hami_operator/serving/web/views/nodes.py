"""``/nodes`` and ``/nodes/<name>``: how full each node is, and who holds what of each of its cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Device
from hami_operator.core.record import NodeUsage
from hami_operator.core.vendor import NOTHING
from hami_operator.serving.links import link_of
from hami_operator.serving.metrics.series import in_own_units
from hami_operator.serving.parts import PartRow, parts_of
from hami_operator.serving.rollup import Fill, Rollup, exclusions, remarks
from hami_operator.serving.sight import NodeLockView, Sight

from .paging import Page, Query, paged


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node in the list. Memory in MiB, over all its cards; ``fills`` is how full each card is."""

    name: str
    types: list[str]
    cards: int
    healthy: int
    memory_mib: int
    given_mib: int
    shares: int
    pods: int
    fills: list[Fill]
    excluded: list[str]
    lock: NodeLockView | None


@dataclass(frozen=True, slots=True)
class Holding:
    """What one pod holds of a card. ``place`` numbers the node's pods, for its letter and colour."""

    pod: str
    place: int
    shares: int
    memory_mib: int
    cores: int


@dataclass(frozen=True, slots=True)
class CardRow:
    """A card. ``link`` is what ties it to others (a zone), empty where the family tells none.

    ``unhealthy_since`` in unix seconds, None while it is healthy or where we did not see it change.
    """

    index: int
    uuid: str
    family: str
    type: str
    mode: str
    numa: int
    link: str
    qos: str
    healthy: bool
    unhealthy_since: float | None
    cordoned: bool
    core_unit: str
    memory_mib: int
    cores: int
    slots: int
    used_slots: int
    used_memory_mib: int
    used_cores: int
    holdings: list[Holding]
    parts: list[PartRow]


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node with its cards; ``pods`` by their place. Times are unix seconds."""

    name: str
    excluded: list[str]
    remarks: list[str]
    stale: list[tuple[str, float]]
    lock: NodeLockView | None
    waiting_for_lock: int
    cards: list[CardRow]
    pods: list[str]


def nodes(sight: Sight, query: Query) -> Page[NodeRow]:
    """The nodes with cards, by name."""
    rollups = sight.rollups()
    locks = {lock.node: lock for lock in sight.locks().held}
    names = sorted(name for name, rollup in rollups.items() if rollup.kinds)
    return paged(names, query, lambda name: _row(rollups[name], locks.get(name)))


def _row(rollup: Rollup, lock: NodeLockView | None) -> NodeRow:
    kinds = rollup.kinds.values()
    return NodeRow(
        name=rollup.name,
        types=sorted({kind.type for kind in kinds}),
        cards=sum(kind.cards for kind in kinds),
        healthy=sum(kind.healthy for kind in kinds),
        memory_mib=sum(kind.memory_mib for kind in kinds),
        given_mib=sum(kind.given_mib for kind in kinds),
        shares=sum(kind.shares for kind in kinds),
        pods=rollup.pods,
        fills=rollup.fills,
        excluded=list(rollup.excluded),
        lock=lock,
    )


def node(sight: Sight, name: str) -> NodeView | None:
    """One node; None when there is none of that name."""
    cluster, now = sight.world.cluster, sight.world.now()
    entry = cluster.inventory.get(name)
    if entry is None:
        return None
    usage, locks = cluster.ledger.usage(name), sight.locks()
    pods = sorted({str(record.key) for record in usage.pods.values() if record.held})
    stale = ((p.key, sight.history.stale_since(name, p.key, now)) for p in cluster.profiles)
    return NodeView(
        name=name,
        excluded=list(exclusions(entry)),
        remarks=list(remarks(entry, usage)),
        stale=[(family, since) for family, since in stale if since is not None],
        lock=next((lock for lock in locks.held if lock.node == name), None),
        waiting_for_lock=locks.waiting.get(name, 0),
        cards=_cards(sight, entry, usage, {pod: place for place, pod in enumerate(pods)}),
        pods=pods,
    )


def _cards(sight: Sight, entry: NodeDevices, usage: NodeUsage, places: Mapping[str, int]) -> list[CardRow]:
    found = []
    for profile in sight.world.cluster.profiles:
        used = usage.cards.get(profile.key, {})
        cards = entry.devices.get(profile.key, ())
        for device in cards:
            held = used.get(device.uuid, NOTHING)
            found.append(
                CardRow(
                    index=device.index,
                    uuid=device.uuid,
                    family=profile.key,
                    type=device.type,
                    mode=device.mode,
                    numa=device.numa,
                    link=link_of(device, cards),
                    qos=_text(device, "qos"),
                    healthy=device.healthy,
                    unhealthy_since=sight.history.unhealthy_since(entry.node.name, device.uuid),
                    cordoned=device.uuid in entry.cordoned,
                    core_unit="cores" if in_own_units(profile) else "%",
                    memory_mib=device.memory_mib,
                    cores=device.cores,
                    slots=device.slots,
                    used_slots=held.slots,
                    used_memory_mib=held.memory_mib,
                    used_cores=held.cores,
                    holdings=_holdings(profile.key, device.uuid, usage, places),
                    parts=parts_of(profile.key, device, usage),
                )
            )
    return found


def _holdings(family: str, card: str, usage: NodeUsage, places: Mapping[str, int]) -> list[Holding]:
    found = []
    for record in usage.pods.values():
        held = record.held.get(family, {}).get(card)
        if held is not None:
            pod = str(record.key)
            found.append(Holding(pod, places[pod], held.slots, held.memory_mib, held.cores))
    return sorted(found, key=lambda holding: holding.place)


def _text(device: Device, name: str) -> str:
    value = device.custom.get(name)
    return value if isinstance(value, str) else ""
