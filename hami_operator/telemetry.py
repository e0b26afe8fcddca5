"""Our own metrics. Labels are bounded: results, reasons and outcomes, never names of pods, nodes or cards."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from hami_operator.kube.client import Exchange
from hami_operator.kube.lockbook import LockNews

_FAST = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_SLOW = (0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Telemetry:
    """The operator's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = Counter("hami_operator_decisions", "Decisions by result.", ["result"], registry=self.registry)
        self.decision_seconds = Histogram(
            "hami_operator_decision_seconds", "Time of one decision.", buckets=_FAST, registry=self.registry
        )
        self.refusals = Counter(
            "hami_operator_refusals", "Nodes that refused a pod, by reason.", ["reason"], registry=self.registry
        )
        self.binds = Counter("hami_operator_binds", "Bindings by outcome.", ["outcome"], registry=self.registry)
        self.bind_seconds = Histogram(
            "hami_operator_bind_seconds",
            "Time from reserving to the outcome of the Binding.",
            buckets=_SLOW,
            registry=self.registry,
        )
        self.extender_seconds = Histogram(
            "hami_operator_extender_seconds",
            "Time to answer kube-scheduler; answered is false where it was told why there is no answer.",
            ["verb", "answered"],
            buckets=_SLOW,
            registry=self.registry,
        )
        self.lock_waits = Counter(
            "hami_operator_node_lock_waits", "Pods that had to wait for a node lock.", registry=self.registry
        )
        self.locks_forced = Counter(
            "hami_operator_node_locks_forced", "Node locks taken over by force.", registry=self.registry
        )
        self.requests = Counter(
            "hami_operator_api_requests",
            "Requests to the API server; status 0 is no answer.",
            ["method", "resource", "status"],
            registry=self.registry,
        )
        self.resync_mended = Counter(
            "hami_operator_resync_mended",
            "Objects that the periodic resync had to put right.",
            ["resource"],
            registry=self.registry,
        )
        self.audit_differences = Gauge(
            "hami_operator_audit_differences",
            "Totals of the ledger that differ from a recount; anything but 0 is a bug.",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self._leading = Gauge("hami_operator_leading", "1 while this replica decides.", registry=self.registry)

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
