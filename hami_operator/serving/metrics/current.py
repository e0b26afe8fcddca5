"""HAMi's metrics under the names it has had since 2.9 (v2.10.0 cmd/scheduler/metrics.go)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hami_operator.core.inventory import NodeDevices
from hami_operator.core.ledger import NodeUsage
from hami_operator.core.schedule import Cluster
from hami_operator.core.vendor import Profile
from hami_operator.serving.parts import PartRow, parts_of

from .series import MIB, CardSeries, Gauge, cards_of, labels_text, lines_of, shares_of

MEMORY_LIMIT = Gauge("hami_gpu_memory_limit_bytes", "Memory of the card that may be given, in bytes.")
CORE_LIMIT = Gauge("hami_gpu_core_limit_ratio", "Cores of the card, usually 100.")
MEMORY_ALLOCATED = Gauge("hami_gpu_memory_allocated_bytes", "Memory of the card that is given, in bytes.")
SHARED = Gauge("hami_gpu_shared_count", "Shares of the card.")
CORE_ALLOCATED = Gauge("hami_gpu_core_allocated_ratio", "Cores of the card that are given, in percent of the card.")
OVERVIEW = Gauge("hami_node_gpu_overview", "Memory of the card that is given, in bytes, with the card's facts.")
MEMORY_RATIO = Gauge("hami_node_gpu_memory_allocated_ratio", "Memory that is given over memory of the card, 0 to 1.")
MIG_PART = Gauge("hami_node_gpu_mig_instance_info", "A MIG instance that a pod has, 1.")
SHARE_MEMORY = Gauge("hami_vgpu_memory_allocated_bytes", "Memory that the container was given of the card, in bytes.")
SHARE_CORES = Gauge("hami_vgpu_core_allocated_ratio", "Cores that the container was given, in percent of the card.")

GAUGES: Sequence[Gauge] = (
    MEMORY_LIMIT,
    CORE_LIMIT,
    MEMORY_ALLOCATED,
    SHARED,
    CORE_ALLOCATED,
    OVERVIEW,
    MEMORY_RATIO,
    MIG_PART,
    SHARE_MEMORY,
    SHARE_CORES,
)


def node_text(cluster: Cluster, entry: NodeDevices, usage: NodeUsage) -> tuple[bytes, ...]:
    """The node's series, a text per metric of ``GAUGES``."""
    groups: dict[Gauge, list[str]] = defaultdict(list)
    for card in cards_of(entry, usage, cluster.profiles):
        _card(card, groups)
        for part in parts_of(card.family, card.device, usage):
            if part.pod:
                groups[MIG_PART].append(MIG_PART.line(labels_text(_part_labels(card, part)), 1))
    _shares(entry, usage, cluster.profiles, groups)
    return lines_of(groups, GAUGES)


def _card(card: CardSeries, groups: dict[Gauge, list[str]]) -> None:
    device, used = card.device, card.used
    labels = labels_text(
        [
            ("node", card.node),
            ("device_uuid", device.uuid),
            ("device_index", device.index),
            ("device_type", device.type),
        ]
    )
    with_cores = f'{labels},device_cores="{device.cores}"'
    values = (
        (MEMORY_LIMIT, labels, device.memory_mib * MIB),
        (CORE_LIMIT, labels, device.cores),
        (MEMORY_ALLOCATED, with_cores, used.memory_mib * MIB),
        (SHARED, labels, used.slots),
        (CORE_ALLOCATED, labels, card.core_percent),
        (OVERVIEW, f'{with_cores},device_memory_limit="{device.memory_mib}"', used.memory_mib * MIB),
    )
    for gauge, text, value in values:
        groups[gauge].append(gauge.line(text, value))
    if device.memory_mib:  # HAMi: NaN for a card without memory, which spoils every sum it is in
        ratio = round(used.memory_mib / device.memory_mib, 6)
        groups[MEMORY_RATIO].append(MEMORY_RATIO.line(labels, ratio))


def _part_labels(card: CardSeries, part: PartRow) -> list[tuple[str, object]]:
    """The runtime's three ids are the device plugin's to know; its own metrics have them."""
    return [
        ("node", card.node),
        ("device_uuid", card.device.uuid),
        ("device_index", card.device.index),
        ("mig_uuid", ""),
        ("profile", part.profile),
        ("gpu_instance_id", ""),
        ("compute_instance_id", ""),
        ("placement_start", part.start),
        ("placement_size", part.size),
    ]


def _shares(entry: NodeDevices, usage: NodeUsage, profiles: Sequence[Profile], groups: dict[Gauge, list[str]]) -> None:
    for share in shares_of(entry, usage, profiles):
        labels = labels_text(
            [
                ("namespace", share.namespace),
                ("node", share.node),
                ("pod", share.pod),
                ("container_index", share.position),
                ("device_uuid", share.card),
            ]
        )
        groups[SHARE_MEMORY].append(SHARE_MEMORY.line(labels, share.memory_mib * MIB))
        groups[SHARE_CORES].append(SHARE_CORES.line(labels, share.core_percent))
