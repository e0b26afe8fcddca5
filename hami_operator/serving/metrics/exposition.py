"""All that ``/metrics`` answers: the series of nodes in the generations that are wanted, then our own registry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest

from hami_operator.config import MetricsSection
from hami_operator.core.schedule import Cluster
from hami_operator.serving.pernode import PerNode
from hami_operator.serving.sight import Sight

from . import current, legacy, quotas
from .series import Gauge
from .state import State

CURRENT, LEGACY = "2.10", "2.7"


@dataclass(frozen=True, slots=True)
class Generation:
    """The metrics of one generation of HAMi, and their texts by node."""

    gauges: Sequence[Gauge]
    texts: PerNode[tuple[str, ...]]


def generation(name: str, style: legacy.Style) -> Generation:
    """A generation by its name, 2.10 or 2.7; ``style`` is for labels of the latter."""
    if name == CURRENT:
        return Generation(current.GAUGES, PerNode(current.node_text))
    return Generation(legacy.GAUGES, PerNode(legacy.node_text_of(style)))


class Exposition:
    """The text. Scrapes wait for each other, so that many of them cost no more than one at a time."""

    def __init__(
        self, cluster: Callable[[], Cluster], registry: CollectorRegistry, generations: Sequence[Generation]
    ) -> None:
        self._cluster = cluster
        self._registry = registry
        self._generations = generations
        self._turn = asyncio.Lock()

    async def text(self) -> bytes:
        """The exposition in Prometheus' text format. Others get to run while it is made."""
        async with self._turn:
            parts: list[str] = []
            for wanted in self._generations:
                texts = await wanted.texts.gently(self._cluster())
                nodes = list(texts.values())
                for number, gauge in enumerate(wanted.gauges):
                    parts.append(gauge.header())
                    parts.extend([texts[number] for texts in nodes])
                    await asyncio.sleep(0)
            return "".join(parts).encode() + generate_latest(self._registry)


def exposition(sight: Sight, registry: CollectorRegistry, settings: MetricsSection) -> Exposition:
    """The metrics in the generations that are wanted; what is read from the state is added to the registry."""

    def cluster() -> Cluster:
        return sight.world.cluster

    style = legacy.AS_IN_2_7 if settings.legacy_labels else legacy.STEADY
    wanted = dict.fromkeys(settings.generations)
    registry.register(State(sight))
    for name in wanted:
        registry.register(quotas.Quotas(cluster, quotas.current if name == CURRENT else quotas.legacy))
    return Exposition(cluster, registry, [generation(name, style) for name in wanted])
