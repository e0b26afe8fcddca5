"""The webhook's HTTP applications: reviews (behind TLS), and health and metrics in the clear on a port of their own.

Health is apart because it must be answered while there is no certificate yet, and says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from .configuration import PATH
from .metrics import Metrics
from .review import Judge, NoReview, Reviewer

log = logging.getLogger(__name__)

#: Above the largest object that an API server takes (3 MiB), with its envelope.
LARGEST_BODY = 4 << 20


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
    reviewer = Reviewer(judge)

    async def mutate(http: web.Request) -> web.Response:
        started = time.perf_counter()
        result, response = await _reply(http, reviewer)
        if health.stopping:
            response.force_close()
        metrics.count(result, time.perf_counter() - started)
        return response

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post(PATH, mutate)
    return app


async def _reply(http: web.Request, reviewer: Reviewer) -> tuple[str, web.Response]:
    """Result for the metrics, and the response. Whatever a body holds, it is answered, and the process serves on."""
    try:
        answered = reviewer.answer(await http.read())
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
