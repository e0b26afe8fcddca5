"""The running processes: their servers, the certificate that follows its files, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from .app import Health, health_app, review_app
from .metrics import Metrics
from .review import Judge
from .tls import CertificateError, ServingCertificate

log = logging.getLogger(__name__)

#: How often the certificate files are looked at; a kubelet takes a minute or two to bring them anyway.
FOLLOW_S = 2.0


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen (port 0: any free one), and which folder holds ``tls.crt`` and ``tls.key``."""

    certificates: Path
    host: str
    port: int
    health_port: int


@dataclass(frozen=True, slots=True)
class Running:
    """The servers as they run, with the ports they got."""

    port: int
    health_port: int
    health: Health
    certificate: ServingCertificate


@contextlib.asynccontextmanager
async def running(listen: Listen, judge: Judge) -> AsyncIterator[Running]:
    """Serve reviews while the context lasts. Raises OSError when a port can't be had."""
    certificate = ServingCertificate(listen.certificates)
    with contextlib.suppress(CertificateError):
        certificate.refresh()
    metrics = Metrics(lambda: certificate.not_after)
    health = Health(lambda: certificate.problem)
    async with contextlib.AsyncExitStack() as stack:
        health_server = health_app(health, metrics.text)
        health_port = await stack.enter_async_context(listening(health_server, listen.host, listen.health_port))
        reviews = review_app(judge, metrics, health)
        port = await stack.enter_async_context(listening(reviews, listen.host, listen.port, certificate.context))
        follower = asyncio.create_task(certificate.follow(FOLLOW_S))
        stack.callback(follower.cancel)
        gc.collect()
        gc.freeze()  # what was imported stays: without it, collections walk all of it in the middle of reviews
        yield Running(port, health_port, health, certificate)


async def serve(listen: Listen, judge: Judge, drain_s: float) -> None:
    """Serve until SIGTERM or SIGINT; then tell not ready, and go on for ``drain_s`` seconds or until a second signal.

    An endpoint leaves its Service some time after the pod was told to stop; calls that come until then are answered.
    """
    stop = stop_signal()
    async with running(listen, judge) as servers:
        log.info("reviews on port %d, health and metrics on port %d", servers.port, servers.health_port)
        await stop.wait()
        servers.health.stopping = True
        log.info("stopping in %.0f s", drain_s)
        stop.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), drain_s)


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve ``app`` while the context lasts; the port it got. Raises OSError when the port can't be had."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        got: int = runner.addresses[0][1]
        yield got
    finally:
        await runner.cleanup()
