"""What the webhook counts, in plain integers that are turned into metrics only when somebody asks.

A ``Histogram`` of the client library costs 6 us an observation (measured), as much as a whole remembered review.
"""

from __future__ import annotations

import datetime
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

RESULTS = ("mutated", "untouched", "refused", "malformed", "failed")

_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)

Metric = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Metrics(Collector):
    """Reviews by result, their seconds, and when the certificate expires (``not_after``: None while there is none)."""

    def __init__(self, not_after: Callable[[], datetime.datetime | None]) -> None:
        self._not_after = not_after
        self._reviews = dict.fromkeys(RESULTS, 0)
        self._slots = [0] * (len(_BOUNDS_S) + 1)
        self._seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, result: str, seconds: float) -> None:
        """A review was answered."""
        self._reviews[result] += 1
        self._slots[bisect_left(_BOUNDS_S, seconds)] += 1
        self._seconds += seconds

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics as of now."""
        reviews = CounterMetricFamily(
            "hami_operator_webhook_reviews", "Admission reviews by result.", labels=["result"]
        )
        for result, count in self._reviews.items():
            reviews.add_metric([result], count)
        yield reviews
        bounds = [*map(str, _BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "hami_operator_webhook_review_seconds",
            "Time to answer a review.",
            buckets=list(zip(bounds, accumulate(self._slots), strict=True)),
            sum_value=self._seconds,
        )
        moment = self._not_after()
        yield GaugeMetricFamily(
            "hami_operator_webhook_certificate_not_after_seconds",
            "Unix time at which the certificate being served expires; 0 while there is none.",
            value=moment.timestamp() if moment else 0,
        )
