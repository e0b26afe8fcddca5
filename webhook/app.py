"""The webhook's HTTP servers: reviews over TLS, and health and metrics in the clear on a port of their own.

Health is apart because it must be answered while there is no certificate yet, and says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .configuration import PATH
from .review import Judge, NoReview, answer
from .tls import ServingCertificate

log = logging.getLogger(__name__)

#: Above the largest object that an API server takes (3 MiB), with its envelope.
LARGEST_BODY = 4 << 20

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


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
            Histogram("hami_webhook_review_seconds", "Time to answer.", buckets=_BUCKETS, registry=registry),
            Gauge(
                "hami_webhook_certificate_not_after_seconds",
                "Unix time at which the certificate being served expires; 0 while there is none.",
                registry=registry,
            ),
        )


@dataclass(slots=True)
class Health:
    """What the probes tell: a certificate is served, and the process is not about to stop."""

    certificate: ServingCertificate
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def trouble(self) -> str:
        """Why no call should be sent here; empty when ready."""
        if self.stopping.is_set():
            return "stopping"
        return "" if self.certificate.loaded else self.certificate.problem


def review_app(judge: Judge, metrics: Metrics, health: Health) -> web.Application:
    """The application behind TLS: ``POST /mutate``. While stopping, clients are told to leave after each answer."""
    counts = {r: metrics.reviews.labels(r) for r in ("mutated", "untouched", "refused", "malformed", "failed")}

    async def mutate(http: web.Request) -> web.Response:
        started = time.perf_counter()
        result, response = await _reply(http, judge)
        if health.stopping.is_set():
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


def health_app(health: Health, metrics: Metrics) -> web.Application:
    """The application in the clear: ``/livez``, ``/readyz``, ``/metrics``."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        trouble = health.trouble()
        return web.Response(status=503 if trouble else 200, text=f"{trouble or 'ok'}\n")

    async def exposition(_: web.Request) -> web.Response:
        not_after = health.certificate.not_after
        metrics.not_after.set(not_after.timestamp() if not_after else 0)
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", exposition)
    return app
