"""Our own metrics. Labels are bounded: results, reasons and outcomes, never names of pods, nodes or cards."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from hami_operator.kube.client import Exchange
from hami_operator.kube.lockbook import LockNews

_FAST = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_SLOW = (0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Telemetry:
    """The operator's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.decisions = counter("hami_operator_decisions", "Decisions by result.", ["result"])
        self.decision_seconds = histogram("hami_operator_decision_seconds", "Time of one decision.", buckets=_FAST)
        self.refusals = counter("hami_operator_refusals", "Nodes that refused a pod, by reason.", ["reason"])
        self.binds = counter("hami_operator_binds", "Bindings by outcome.", ["outcome"])
        self.bind_seconds = histogram(
            "hami_operator_bind_seconds", "Time from reserving to the outcome of the Binding.", buckets=_SLOW
        )
        self.extender_seconds = histogram(
            "hami_operator_extender_seconds",
            "Time to answer kube-scheduler; answered is false where it was told why there is no answer.",
            ["verb", "answered"],
            buckets=_SLOW,
        )
        self.lock_waits = counter("hami_operator_node_lock_waits", "Pods that had to wait for a node lock.")
        self.locks_forced = counter("hami_operator_node_locks_forced", "Node locks taken over by force.")
        self.requests = counter(
            "hami_operator_api_requests",
            "Requests to the API server; status 0 is no answer.",
            ["method", "resource", "status"],
        )
        self.resync_mended = counter(
            "hami_operator_resync_mended", "Objects that the periodic resync had to put right.", ["resource"]
        )
        self.audit_differences = gauge(
            "hami_operator_audit_differences",
            "Totals of the ledger that differ from a recount; anything but 0 is a bug.",
        )
        self._leading = gauge("hami_operator_leading", "1 while this replica decides.")
        ProcessCollector(registry=self.registry)

    def exchange(self, exchange: Exchange) -> None:
        """Count a request to the API server."""
        self.requests.labels(exchange.method, exchange.resource, str(exchange.status)).inc()

    def extender(self, verb: str, answered: bool, seconds: float) -> None:  # noqa: FBT001 - a callback of serving
        """Count an answer to kube-scheduler."""
        self.extender_seconds.labels(verb, str(answered).lower()).observe(seconds)

    def lock(self, news: LockNews) -> None:
        """Count a wait for a node lock, or one that was taken by force."""
        (self.locks_forced if news.forced else self.lock_waits).inc()

    def leading(self, leads: bool) -> None:  # noqa: FBT001 - the callback of the election
        """Keep the gauge of leadership."""
        self._leading.set(leads)
