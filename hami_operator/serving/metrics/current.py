"""HAMi's metrics under the names it has had since 2.9 (v2.10.0 cmd/scheduler/metrics.go)."""

from __future__ import annotations

from collections.abc import Sequence

from hami_operator.core.record import NodeUsage

from .series import MIB, CardSeries, Gauge, Lines, ShareSeries, Writer, escape, labels_text

MEMORY_LIMIT = Gauge("hami_gpu_memory_limit_bytes", "Memory of the card that may be given, in bytes.")
CORE_LIMIT = Gauge("hami_gpu_core_limit_ratio", "Cores of the card, usually 100.")
MEMORY_ALLOCATED = Gauge("hami_gpu_memory_allocated_bytes", "Memory of the card that is given, in bytes.")
SHARED = Gauge("hami_gpu_shared_count", "Shares of the card.")
CORE_ALLOCATED = Gauge("hami_gpu_core_allocated_ratio", "Cores of the card that are given, in percent of the card.")
OVERVIEW = Gauge("hami_node_gpu_overview", "Memory of the card that is given, in bytes, with the card's facts.")
MEMORY_RATIO = Gauge("hami_node_gpu_memory_allocated_ratio", "Memory that is given over memory of the card, 0 to 1.")
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
    SHARE_MEMORY,
    SHARE_CORES,
)


def _card(card: CardSeries, usage: NodeUsage) -> Lines:
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
    yield MEMORY_LIMIT, MEMORY_LIMIT.line(labels, device.memory_mib * MIB)
    yield CORE_LIMIT, CORE_LIMIT.line(labels, device.cores)
    yield MEMORY_ALLOCATED, MEMORY_ALLOCATED.line(with_cores, used.memory_mib * MIB)
    yield SHARED, SHARED.line(labels, used.slots)
    yield CORE_ALLOCATED, CORE_ALLOCATED.line(labels, card.core_percent)
    facts = f'{with_cores},device_memory_limit="{device.memory_mib}"'
    yield OVERVIEW, OVERVIEW.line(facts, used.memory_mib * MIB)
    if device.memory_mib:  # HAMi: NaN for a card without memory, which spoils every sum it is in
        yield MEMORY_RATIO, MEMORY_RATIO.line(labels, round(used.memory_mib / device.memory_mib, 6))


def _share(share: ShareSeries) -> Lines:
    labels = (  # written out: in a busy cluster there are thousands of new ones a second
        f'zone="vGPU",namespace="{escape(share.namespace)}",node="{escape(share.node)}",pod="{escape(share.pod)}",'
        f'container_index="{share.position}",device_uuid="{escape(share.card)}"'
    )
    yield SHARE_MEMORY, SHARE_MEMORY.line(labels, share.memory_mib * MIB)
    yield SHARE_CORES, SHARE_CORES.line(labels, share.core_percent)


WRITER = Writer(GAUGES, _card, _share)
