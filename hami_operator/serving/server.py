"""Listening, with bounds: who is slow, or many, costs a little memory and never a decision.

Connections, requests under way and the time a client takes to send and to read are limited. Probes always pass.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Nothing is loaded from elsewhere, nothing inline is run, and nobody may frame it.
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

#: Always answered: the kubelet kills what does not answer these.
PROBES = frozenset({"/livez", "/readyz"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """``connections`` at a time; ``requests`` under way, of which ``scrapes`` of the metrics; seconds to send a request
    in (``patience_s``), to read the answer in (``reading_s``), and to keep a connection that is idle (``idle_s``)."""

    connections: int = 512
    requests: int = 64
    scrapes: int = 4
    patience_s: float = 10.0
    reading_s: float = 20.0
    idle_s: float = 15.0


@dataclass(slots=True)
class Guard:
    """Counts what is under way, and closes what takes too long. ``silent`` are connections without a request yet."""

    bounds: Bounds = field(default_factory=Bounds)
    silent: dict[web.RequestHandler, asyncio.TimerHandle] = field(default_factory=dict)
    requests: int = 0
    scrapes: int = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Serve a request within the bounds."""
        if timer := self.silent.pop(request.protocol, None):
            timer.cancel()
        if request.path in PROBES:
            return await handler(request)
        scrape = request.path == "/metrics"
        if self.requests >= self.bounds.requests or (scrape and self.scrapes >= self.bounds.scrapes):
            raise web.HTTPServiceUnavailable(text="too many requests at a time\n", headers={"Retry-After": "2"})
        self.requests += 1
        self.scrapes += scrape
        try:
            return await self._send(request, await self._answer(request, handler))
        finally:
            self.requests -= 1
            self.scrapes -= scrape

    @staticmethod
    async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(SECURITY_HEADERS)
            raise
        response.headers.update(SECURITY_HEADERS)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Write the answer; a client that does not read it is cut off, one that has gone is no matter."""
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(self.bounds.reading_s):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
        return response

    def watch(self, protocol: web.RequestHandler) -> None:
        """A connection was made: it has to say something in time."""
        timer = asyncio.get_running_loop().call_later(self.bounds.patience_s, self._cut_off, protocol)
        self.silent[protocol] = timer

    def _cut_off(self, protocol: web.RequestHandler) -> None:
        del self.silent[protocol]
        if protocol.transport is not None:
            protocol.transport.abort()


class _Refused(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


@dataclass(frozen=True, slots=True)
class Serving:
    """What listens; ``cleanup`` ends it."""

    runner: web.AppRunner
    listener: asyncio.Server

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self.listener.sockets[0].getsockname()[1]
        return port

    async def cleanup(self) -> None:
        """Stop listening, and end what is under way."""
        self.listener.close()
        await self.runner.cleanup()


async def serve(app: web.Application, host: str, port: int, bounds: Bounds | None = None) -> Serving:
    """Listen. Raises OSError when the address is taken."""
    guard = Guard(bounds or Bounds())
    app.middlewares.insert(0, guard.middleware)  # the bounds hold for whatever else is asked of a request
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=guard.bounds.idle_s, shutdown_timeout=2.0, handle_signals=False
    )
    await runner.setup()
    server = cast(Any, runner.server)

    def connect() -> asyncio.Protocol:
        if len(server.connections) >= guard.bounds.connections:
            return _Refused()
        protocol: web.RequestHandler = server()
        guard.watch(protocol)
        return protocol

    try:
        listener = await asyncio.get_running_loop().create_server(connect, host, port)
    except OSError:
        await runner.cleanup()
        raise
    return Serving(runner, listener)
