"""HAMi's metrics under the names and labels of 2.7 (v2.7.0 cmd/scheduler/metrics.go), for dashboards of that time.

Three labels there hold numbers that change with every allocation, so that each begins a new series. They are left out,
and ``devicecores`` holds the card's cores as in 2.10, unless those labels are wanted as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hami_operator.core.record import NodeUsage
from hami_operator.serving.parts import parts_of

from .series import MIB, CardSeries, Gauge, Lines, ShareSeries, Writer, labels_text

MEMORY_LIMIT = Gauge("GPUDeviceMemoryLimit", "Device memory limit for a certain GPU, in bytes.")
CORE_LIMIT = Gauge("GPUDeviceCoreLimit", "Device core limit for a certain GPU.")
MEMORY_ALLOCATED = Gauge("GPUDeviceMemoryAllocated", "Device memory allocated for a certain GPU, in bytes.")
SHARED = Gauge("GPUDeviceSharedNum", "Number of containers sharing this GPU.")
CORE_ALLOCATED = Gauge("GPUDeviceCoreAllocated", "Device core allocated for a certain GPU.")
OVERVIEW = Gauge("nodeGPUOverview", "GPU overview on a certain node, memory allocated in bytes.")
MEMORY_RATIO = Gauge("nodeGPUMemoryPercentage", "GPU memory allocated over its memory, 0 to 1.")
MIG_PART = Gauge("nodeGPUMigInstance", "GPU sharing mode: a MIG instance of the card, 1 in use, 0 free.")
POD_ALLOCATED = Gauge("vGPUPodsDeviceAllocated", "vGPU memory allocated from pods, in bytes.")
SHARE_RATIO = Gauge("vGPUMemoryPercentage", "vGPU memory allocated over the memory of its GPU, 0 to 1.")
SHARE_CORE_RATIO = Gauge("vGPUCorePercentage", "vGPU core allocated from a container.")
SHARE_MEMORY = Gauge("vGPUMemoryAllocated", "vGPU memory allocated from a container, in bytes.")
SHARE_CORES = Gauge("vGPUCoreAllocated", "vGPU core allocated from a container.")

GAUGES: Sequence[Gauge] = (
    MEMORY_LIMIT,
    CORE_LIMIT,
    MEMORY_ALLOCATED,
    SHARED,
    CORE_ALLOCATED,
    OVERVIEW,
    MEMORY_RATIO,
    MIG_PART,
    POD_ALLOCATED,
    SHARE_RATIO,
    SHARE_CORE_RATIO,
    SHARE_MEMORY,
    SHARE_CORES,
)

Labels = list[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Style:
    """The labels that differ: of a card's cores, of its shares, of a container's cores."""

    cores: Callable[[CardSeries], Labels]
    shared: Callable[[CardSeries], Labels]
    used_cores: Callable[[ShareSeries], Labels]


#: Labels that keep their values.
STEADY = Style(lambda card: [("devicecores", card.device.cores)], lambda _: [], lambda _: [])

#: HAMi 2.7's own, with numbers that change.
AS_IN_2_7 = Style(
    lambda card: [("devicecores", card.used.cores)],
    lambda card: [("sharedcontainers", card.used.slots)],
    lambda share: [("deviceusedcore", share.cores)],
)


def writer(style: Style) -> Writer:
    """How they are written in a style."""

    def card(series: CardSeries, usage: NodeUsage) -> Lines:
        for gauge, labels, value in _card(series, style):
            yield gauge, gauge.line(labels_text(labels), value)
        for part in parts_of(series.family, series.device, usage):
            labels = [*_identity(series), ("migname", f"{part.profile}-{part.slot.rpartition('-')[2]}")]
            yield MIG_PART, MIG_PART.line(labels_text(labels), int(bool(part.pod)))

    def share(series: ShareSeries) -> Lines:
        for gauge, labels, value in _share(series, style):
            yield gauge, gauge.line(labels_text(labels), value)

    return Writer(GAUGES, card, share)


def _identity(card: CardSeries) -> Labels:
    return [("nodeid", card.node), ("deviceuuid", card.device.uuid), ("deviceidx", card.device.index)]


def _card(card: CardSeries, style: Style) -> list[tuple[Gauge, Labels, float]]:
    device, used = card.device, card.used
    labels = _identity(card)
    cores = [*labels, *style.cores(card)]
    facts: Labels = [("devicememorylimit", device.memory_mib), ("devicetype", device.type)]
    found: list[tuple[Gauge, Labels, float]] = [
        (MEMORY_LIMIT, labels, device.memory_mib * MIB),
        (CORE_LIMIT, labels, device.cores),
        (MEMORY_ALLOCATED, cores, used.memory_mib * MIB),
        (SHARED, labels, used.slots),
        (CORE_ALLOCATED, labels, used.cores),
        (OVERVIEW, [*cores, *style.shared(card), *facts], used.memory_mib * MIB),
    ]
    if device.memory_mib:
        found.append((MEMORY_RATIO, labels, round(used.memory_mib / device.memory_mib, 6)))
    return found


def _share(share: ShareSeries, style: Style) -> list[tuple[Gauge, Labels, float]]:
    labels: Labels = [
        ("podnamespace", share.namespace),
        ("nodename", share.node),
        ("podname", share.pod),
        ("containeridx", share.position),
        ("deviceuuid", share.card),
    ]
    deprecated: Labels = [("deprecated_version", "v2.8.0"), *labels]
    found: list[tuple[Gauge, Labels, float]] = [
        (POD_ALLOCATED, [*deprecated, *style.used_cores(share)], share.memory_mib * MIB),
        (SHARE_CORE_RATIO, deprecated, share.cores),
        (SHARE_MEMORY, labels, share.memory_mib * MIB),
        (SHARE_CORES, labels, share.cores),
    ]
    if share.card_memory_mib:
        found.append((SHARE_RATIO, deprecated, round(share.memory_mib / share.card_memory_mib, 6)))
    return found
