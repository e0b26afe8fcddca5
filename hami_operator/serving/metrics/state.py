"""Our own metrics that are read from the state at the moment of the scrape. Labels are bounded, never names."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hami_operator import __version__
from hami_operator.serving.sight import Sight


class State(Collector):
    """Queue, reservations, locks, watches, nodes and cards as they are now."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks nothing of a world that is not filled yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics as of now."""
        yield _build_info()
        yield from self._queue()
        yield from self._nodes()
        yield from self._locks()
        yield from self._news()

    def _queue(self) -> Iterator[Metric]:
        world = self._sight.world
        queue = GaugeMetricFamily("hami_operator_queue_pods", "Pending pods by state.", labels=["state"])
        for state, count in world.queue.counts().items():
            queue.add_metric([state], count)
        yield queue
        reasons = Counter(reason for pod in world.queue.pods() for reason in self._sight.reasons(pod.key.uid))
        pending = GaugeMetricFamily(
            "hami_operator_pending_pods", "Waiting pods by reason; one with two counts under both.", labels=["reason"]
        )
        for reason in sorted(reasons):
            pending.add_metric([reason], reasons[reason])
        yield pending

    def _nodes(self) -> Iterator[Metric]:
        rollups = self._sight.rollups().values()
        states = Counter("usable" if not rollup.excluded else "excluded" for rollup in rollups)
        nodes = GaugeMetricFamily("hami_operator_nodes", "Nodes with cards, by state.", labels=["state"])
        for state in ("usable", "excluded"):
            nodes.add_metric([state], states[state])
        yield nodes
        cards: Counter[tuple[str, str]] = Counter()
        for rollup in rollups:
            for kind in rollup.kinds.values():
                cards[kind.family, "healthy"] += kind.healthy
                cards[kind.family, "unhealthy"] += kind.cards - kind.healthy
        family = GaugeMetricFamily("hami_operator_cards", "Cards by family and health.", labels=["family", "health"])
        for labels in sorted(cards):
            family.add_metric(list(labels), cards[labels])
        yield family
        stale = sum(1 for _ in self._sight.history.stale(self._sight.world.now()))
        yield GaugeMetricFamily("hami_operator_stale_handshakes", "Handshakes that have stopped changing.", stale)
        quarantined = sum(rollup.quarantined for rollup in rollups)
        text = "Families of nodes that take no new pods because an allocation there can't be read."
        yield GaugeMetricFamily("hami_operator_quarantined_places", text, quarantined)

    def _locks(self) -> Iterator[Metric]:
        locks = self._sight.locks()
        yield GaugeMetricFamily("hami_operator_node_locks", "Node locks that are held.", len(locks.held))
        waiting = sum(locks.waiting.values())
        yield GaugeMetricFamily("hami_operator_node_lock_waiting_pods", "Pods that wait for a node lock.", waiting)
        now = self._sight.world.now()
        oldest = max((now - lock.since for lock in locks.held), default=0.0)
        text = "Seconds since the oldest node lock was first seen, 0 without locks."
        yield GaugeMetricFamily("hami_operator_node_lock_oldest_seconds", text, max(oldest, 0.0))

    def _news(self) -> Iterator[Metric]:
        now = self._sight.world.now()
        text = "Seconds since something last came of a resource, by event or list."
        ages = GaugeMetricFamily("hami_operator_watch_age_seconds", text, labels=["resource"])
        for resource, at in sorted(self._sight.history.last_heard().items()):
            ages.add_metric([resource], max(now - at, 0.0))
        yield ages
        events = self._sight.events()
        yield GaugeMetricFamily("hami_operator_events_waiting", "Events that wait to be written.", events.waiting)
        dropped = CounterMetricFamily("hami_operator_events_dropped", "Events dropped because too many waited.")
        dropped.add_metric([], events.dropped)
        yield dropped


def _build_info() -> Metric:
    """HAMi's name; what is Go's there is Python's here."""
    names = ["version", "revision", "build_date", "go_version", "compiler", "platform"]
    info = GaugeMetricFamily("hami_build_info", "Version of the operator, 1.", labels=names)
    system = f"{platform.system().lower()}/{platform.machine()}"
    python = f"python{platform.python_version()}"
    info.add_metric([f"v{__version__}", "", "", python, platform.python_implementation(), system], 1)
    return info
