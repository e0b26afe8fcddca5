"""HAMi's metrics of quotas, for our own kind and core ResourceQuotas alike: what counts of several is the least."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hami_operator.core.cluster import Cluster
from hami_operator.serving.quotas import QuotaRow, quota_rows
from hami_operator.serving.sight import Sight

ZONE = "vGPU"


def tightest(cluster: Cluster) -> dict[tuple[str, str], QuotaRow]:
    """By (namespace, resource name) the limit that leaves the least."""
    found: dict[tuple[str, str], QuotaRow] = {}
    for row in quota_rows(cluster):
        key = (row.namespace, row.key.removeprefix("limits."))
        known = found.get(key)
        if known is None or row.hard - row.used < known.hard - known.used:
            found[key] = row
    return found


class Quotas(Collector):
    """Used and limit under one generation's names, of the replica that leads; ``build`` makes the metrics."""

    def __init__(self, sight: Sight, build: Callable[[Cluster], Iterator[Metric]]) -> None:
        self._sight, self._build = sight, build

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks nothing of a world that is not filled yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics as of now."""
        return self._build(self._sight.world.cluster) if self._sight.leader().leads else iter(())


def current(cluster: Cluster) -> Iterator[Metric]:
    """The names of 2.10."""
    labels = ["zone", "namespace", "quota_name"]
    used = GaugeMetricFamily("hami_resource_quota_used", "What is used of a quota.", labels=[*labels, "limit"])
    limit = GaugeMetricFamily("hami_resource_quota_limit", "The limit of a quota.", labels=labels)
    for (namespace, name), row in tightest(cluster).items():
        used.add_metric([ZONE, namespace, name, str(row.hard)], row.used)
        limit.add_metric([ZONE, namespace, name], row.hard)
    yield used
    yield limit


def legacy(cluster: Cluster) -> Iterator[Metric]:
    """The names of 2.7."""
    used = GaugeMetricFamily(
        "QuotaUsed", "resourcequota usage for a certain device", labels=["zone", "quotanamespace", "quotaName", "limit"]
    )
    for (namespace, name), row in tightest(cluster).items():
        used.add_metric([ZONE, namespace, name, str(row.hard)], row.used)
    yield used
