"""The webhook's HTTP applications: reviews (behind TLS), and health and metrics in the clear on a port of their own.

Health is apart because it must be answered while there is no certificate yet, and says so.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .configuration import PATH
from .review import Judge, NoReview, answer

log = logging.getLogger(__name__)

#: Above the largest object that an API server takes (3 MiB), with its envelope.
LARGEST_BODY = 4 << 20

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_RESULTS = ("mutated", "untouched", "refused", "malformed", "failed")


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is counted: reviews by result (mutated, untouched, refused, malformed, failed) and their seconds."""

    registry: CollectorRegistry
    reviews: Counter
    seconds: Histogram
    not_after: Gauge

    @classmethod
    def create(cls) -> Metrics:
        """Metrics in a registry of their own."""
        registry = CollectorRegistry()
        return cls(
            registry,
            Counter("hami_webhook_reviews", "Admission reviews by result.", ["result"], registry=registry),
            Histogram("hami_webhook_review_seconds", "Time to answer a review.", buckets=_BUCKETS, registry=registry),
            Gauge(
                "hami_webhook_certificate_not_after_seconds",
                "Unix time at which the certificate being served expires; 0 while there is none.",
                registry=registry,
            ),
        )

    def text(self, not_after: datetime.datetime | None) -> bytes:
        """The exposition; ``not_after`` is that of the certificate being served."""
        self.not_after.set(not_after.timestamp() if not_after else 0)
        return generate_latest(self.registry)


@dataclass(slots=True)
class Health:
    """What the probes tell: ``problem`` gives the text of what is wrong, empty when nothing is."""

    problem: Callable[[], str]
    stopping: bool = False

    def trouble(self) -> str:
        """Why no call should be sent here; empty when ready."""
        return "stopping" if self.stopping else self.problem()


def review_app(judge: Judge, metrics: Metrics, health: Health) -> web.Application:
    """``POST /mutate``. While stopping, clients are told to leave after each answer."""
    counts = {result: metrics.reviews.labels(result) for result in _RESULTS}

    async def mutate(http: web.Request) -> web.Response:
        started = time.perf_counter()
        result, response = await _reply(http, judge)
        if health.stopping:
            response.force_close()
        counts[result].inc()
        metrics.seconds.observe(time.perf_counter() - started)
        return response

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post(PATH, mutate)
    return app


async def _reply(http: web.Request, judge: Judge) -> tuple[str, web.Response]:
    """Result for the metrics, and the response. Whatever a body holds, it is answered, and the process serves on."""
    try:
        answered = answer(await http.read(), judge)
    except NoReview as error:
        return "malformed", web.Response(status=400, text=f"{error}\n")
    except web.HTTPRequestEntityTooLarge:
        return "malformed", web.Response(status=413, text=f"the body is larger than {LARGEST_BODY} bytes\n")
    except Exception:
        log.exception("a review failed")
        return "failed", web.Response(status=500, text="internal error, see the log of the webhook\n")
    return answered.result, web.Response(body=answered.body, content_type="application/json")


def health_app(health: Health, metrics_text: Callable[[], bytes]) -> web.Application:
    """``GET /livez`` (the event loop answers), ``/readyz`` (with the reason when not), ``/metrics``."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        trouble = health.trouble()
        return web.Response(status=503 if trouble else 200, text=f"{trouble or 'ok'}\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics_text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app
