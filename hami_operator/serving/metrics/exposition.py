"""All that ``/metrics`` answers: the series of nodes in the generations that are wanted, then our own registry."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest

from hami_operator.config import MetricsSection
from hami_operator.serving.pernode import PerNode
from hami_operator.serving.sight import Sight

from . import current, legacy, quotas
from .instances import Instances
from .series import Gauge, NodeText
from .state import State

CURRENT, LEGACY = "2.10", "2.7"


@dataclass(frozen=True, slots=True)
class Generation:
    """The metrics of one generation of HAMi, and their texts by node."""

    gauges: Sequence[Gauge]
    texts: PerNode[NodeText]


def generation(name: str, style: legacy.Style) -> Generation:
    """A generation by its name, 2.10 or 2.7; ``style`` is for labels of the latter."""
    writer = current.WRITER if name == CURRENT else legacy.writer(style)
    return Generation(writer.gauges, PerNode(writer.node))


class Exposition:
    """The text. Scrapes wait for each other, so that many of them cost no more than one at a time.

    Only the replica that leads tells of cards and shares: dashboards add them up over all that is scraped.
    """

    def __init__(self, sight: Sight, registry: CollectorRegistry, generations: Sequence[Generation]) -> None:
        self._sight = sight
        self._registry = registry
        self._generations = generations
        self._turn = asyncio.Lock()

    async def text(self) -> bytes:
        """The exposition in Prometheus' text format. Others get to run while it is made."""
        async with self._turn:
            parts: list[bytes] = []
            for wanted in self._generations if self._sight.leader().leads else ():
                texts = await wanted.texts.gently(self._sight.world.cluster)
                nodes = list(texts.values())
                for number, gauge in enumerate(wanted.gauges):
                    parts.append(gauge.header().encode())
                    parts.extend([node.texts[number] for node in nodes])
                    await asyncio.sleep(0)
            parts.append(generate_latest(self._registry))
            return b"".join(parts)


def exposition(sight: Sight, registry: CollectorRegistry, settings: MetricsSection) -> Exposition:
    """The metrics in the generations that are wanted; what is read from the state is added to the registry."""

    style = legacy.AS_IN_2_7 if settings.legacy_labels else legacy.STEADY
    wanted = dict.fromkeys(settings.generations)
    registry.register(State(sight))
    if CURRENT in wanted:
        registry.register(Instances(sight))
    for name in wanted:
        registry.register(quotas.Quotas(sight, quotas.current if name == CURRENT else quotas.legacy))
    return Exposition(sight, registry, [generation(name, style) for name in wanted])
