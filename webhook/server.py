"""The running webhook process: both servers, the certificate that follows its files, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from .app import Health, Metrics, health_app, review_app
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


@contextlib.asynccontextmanager
async def running(listen: Listen, judge: Judge) -> AsyncIterator[Running]:
    """Serve while the context lasts. Raises OSError when a port can't be had."""
    certificate = ServingCertificate(listen.certificates)
    with contextlib.suppress(CertificateError):
        certificate.refresh()
    health, metrics = Health(certificate), Metrics.create()
    async with contextlib.AsyncExitStack() as stack:
        health_port = await _listen(stack, health_app(health, metrics), listen, certificate=None)
        port = await _listen(stack, review_app(judge, metrics, health), listen, certificate=certificate)
        follower = asyncio.create_task(certificate.follow(FOLLOW_S))
        stack.callback(follower.cancel)
        yield Running(port, health_port, health)


async def serve(listen: Listen, judge: Judge, drain_s: float) -> None:
    """Serve until SIGTERM or SIGINT; then tell not ready, and go on for ``drain_s`` seconds or until a second signal.

    An endpoint leaves its Service some time after the pod was told to stop; calls that come until then are answered.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(listen, judge) as servers:
        log.info("reviews on port %d, health and metrics on port %d", servers.port, servers.health_port)
        await stop.wait()
        servers.health.stopping.set()
        log.info("stopping in %.0f s", drain_s)
        stop.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), drain_s)


async def _listen(
    stack: contextlib.AsyncExitStack, app: web.Application, listen: Listen, *, certificate: ServingCertificate | None
) -> int:
    """Serve ``app``, over TLS when there is a certificate; the port it got."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    wanted = listen.health_port if certificate is None else listen.port
    site = web.TCPSite(runner, listen.host, wanted, ssl_context=certificate.context if certificate else None)
    await site.start()
    port: int = runner.addresses[0][1]
    return port
