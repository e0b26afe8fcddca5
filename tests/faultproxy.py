"""A proxy between a client and the real API server that makes faults on purpose, and counts every request.

It listens on plain HTTP on loopback and passes everything on over TLS, credentials included, so a client needs only
another server address. A fault is met by the next requests that match it, as often as it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import random
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"})
REMEMBERED = 200_000

#: The part of all requests that jitter keeps back, and for how many seconds at most.
JITTERED = 0.3
JITTER_S = 0.03

_TOO_OLD = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"too old resource version: 1 (2)","reason":"Expired","code":410}}\n'
)

_Answer = contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]


class Kind(enum.Enum):
    """What happens to a request."""

    DROP = "cut the connection, the server never hears of it"
    CUT_AFTER = "the server answers, but the connection is cut before the answer is passed on"
    LATE = "cut the connection at once; the server gets the request when the fault is released"
    HOLD = "the request waits until the fault is released, then goes its way"
    HOLD_ANSWER = "the server does it at once, its answer waits until the fault is released"
    STATUS = "the proxy answers itself, the server never hears of it"
    STATUS_AFTER = "the server does it, but the proxy answers something else"
    EXPIRE = "a watch is told that its version is too old, in the words of the API server"


@dataclass(eq=False)
class Fault:
    """One kind of fault for requests whose method and path match; ``times`` None: for all.

    ``hit`` is set when the first request has met it; ``release()`` lets LATE, HOLD and HOLD_ANSWER requests go,
    ``drop()`` cuts them instead; ``landed`` is set when the server has answered one of these, with its status in
    ``landed_status``.
    """

    kind: Kind
    method: str
    path: re.Pattern[str]
    times: int | None = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0
    landed_status: int = 0
    dropped: bool = False
    hit: asyncio.Event = field(default_factory=asyncio.Event)
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let the requests go that wait for it, and those that still come."""
        self.released.set()

    def drop(self) -> None:
        """Cut the requests that wait for it: the server never hears of them."""
        self.dropped = True
        self.released.set()

    def meets(self, method: str, path: str) -> bool:
        """Whether the next request is to meet this fault; counts it."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method not in ("*", method) or not self.path.search(path):
            return False
        self.hits += 1
        self.hit.set()
        return True


@dataclass(eq=False)
class Censor:
    """What happens to the news of watches whose path matches, as long as it is in force.

    ``kinds`` are the event types that are not passed on; none: all news waits, in its order, until ``release()``.
    ``lost`` names (``namespace/name``) the objects whose news was not passed on; ``met`` is set with the first, or when
    the first news waits.
    """

    path: re.Pattern[str]
    kinds: frozenset[str] = frozenset()
    lost: list[str] = field(default_factory=list)
    met: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Pass on what waits, and all that comes."""
        self.released.set()

    async def passes(self, line: bytes) -> bool:
        """Whether an event is passed on; waits where it has to."""
        if self.released.is_set():
            return True
        if not self.kinds:
            self.met.set()
            await self.released.wait()
            return True
        event = json.loads(line)
        if event["type"] not in self.kinds:
            return True
        metadata = event["object"]["metadata"]
        self.lost.append(f"{metadata.get('namespace', '')}/{metadata['name']}")
        self.met.set()
        return False


@dataclass(frozen=True)
class Seen:
    """One request as it came: ``watch`` tells streams apart; ``body`` is what the client sent."""

    method: str
    path: str
    query: str
    body: bytes

    @property
    def watch(self) -> bool:
        return "watch=" in self.query


class FaultProxy:
    """The proxy. Use ``serve`` to run one.

    With ``jitter``, some requests are kept back for a few milliseconds, so that each seed gives another order.
    """

    def __init__(self, server: str, tls: ssl.SSLContext, jitter: random.Random | None = None) -> None:
        self.seen: deque[Seen] = deque(maxlen=REMEMBERED)
        self.url = ""
        self._server = server
        self._tls = tls
        self._jitter = jitter
        self._faults: list[Fault] = []
        self._censors: list[Censor] = []
        self._streams: set[asyncio.Transport] = set()
        self._late: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.unreachable = False

    def fault(self, kind: Kind, method: str, path: str, **more: object) -> Fault:
        """Arrange for a fault: ``path`` is a regular expression to be found in the request's path."""
        fault = Fault(kind, method, re.compile(path), **more)  # type: ignore[arg-type]
        self._faults.append(fault)
        return fault

    def censor(self, path: str, *kinds: str) -> Censor:
        """Keep news of watches back: all of it for a while, or these event types for ever."""
        censor = Censor(re.compile(path), frozenset(kinds))
        self._censors.append(censor)
        return censor

    def clear(self) -> None:
        """No more faults; what waits goes on."""
        for fault in self._faults:
            fault.release()
        for censor in self._censors:
            censor.release()
        self._faults.clear()
        self._censors.clear()
        self.unreachable = False

    def count(self, method: str = "*", path: str = "") -> int:
        """How many requests of this kind came, faulty ones included."""
        pattern = re.compile(path)
        return sum(method in ("*", seen.method) and bool(pattern.search(seen.path)) for seen in self.seen)

    def writes(self, path: str = "") -> int:
        """How many requests that write came."""
        return sum(self.count(method, path) for method in ("POST", "PUT", "PATCH", "DELETE"))

    def cut_watches(self) -> None:
        """Break every watch that is open now."""
        for transport in list(self._streams):
            transport.abort()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[FaultProxy]:
        """Listen until the block is left."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            self.clear()
            self.cut_watches()
            await asyncio.gather(*self._late, return_exceptions=True)
            await runner.cleanup()
            await self._session.close()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(Seen(request.method, request.path, request.query_string, body))
        if self.unreachable:
            return _cut(request)
        if self._jitter is not None and self._jitter.random() < JITTERED:
            await asyncio.sleep(self._jitter.uniform(0.0, JITTER_S))
        fault = next((fault for fault in self._faults if fault.meets(request.method, request.path)), None)
        if fault is None:
            return await self._pass_on(request, body)
        if fault.kind is Kind.DROP:
            return _cut(request)
        if fault.kind is Kind.STATUS:
            return web.Response(status=fault.status, headers=fault.headers)
        if fault.kind is Kind.EXPIRE:
            return web.Response(body=_TOO_OLD, content_type="application/json")
        if fault.kind is Kind.LATE:
            late = asyncio.ensure_future(self._land(fault, request, body))
            self._late.add(late)
            return _cut(request)
        if fault.kind is Kind.HOLD:
            await fault.released.wait()
            return _cut(request) if fault.dropped else _landed(fault, await self._pass_on(request, body))
        answer = await self._forward(request, body)
        if fault.kind is Kind.HOLD_ANSWER:
            _landed(fault, answer)
            await fault.released.wait()
            return _cut(request) if fault.dropped else answer
        if fault.kind is Kind.STATUS_AFTER:
            return web.Response(status=fault.status, headers=fault.headers)
        return _cut(request)

    async def _land(self, fault: Fault, request: web.Request, body: bytes) -> None:
        await fault.released.wait()
        _landed(fault, await self._forward(request, body))

    def _send(
        self, request: web.Request, body: bytes
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        assert self._session is not None
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        url = URL(self._server + request.raw_path, encoded=True)
        return self._session.request(request.method, url, data=body or None, headers=headers, timeout=timeout)

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        async with self._send(request, body) as response:
            headers = {key: value for key, value in response.headers.items() if key.lower() not in _HOP_BY_HOP}
            return web.Response(status=response.status, headers=headers, body=await response.read())

    async def _pass_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if "watch" not in request.query:
            return await self._forward(request, body)
        async with self._send(request, body) as response:
            stream = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
            await stream.prepare(request)
            transport = request.transport
            assert isinstance(transport, asyncio.Transport)
            self._streams.add(transport)
            try:
                with contextlib.suppress(ConnectionError):
                    async for line in _lines(response.content):
                        if await self._passes(request.path, line):
                            await stream.write(line)
            finally:
                self._streams.discard(transport)
            return stream

    async def _passes(self, path: str, line: bytes) -> bool:
        for censor in [censor for censor in self._censors if censor.path.search(path)]:
            if not await censor.passes(line):
                return False
        return True


def _landed(fault: Fault, answer: web.StreamResponse) -> web.StreamResponse:
    fault.landed_status = answer.status
    fault.landed.set()
    return answer


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines of any length, each with its end."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _cut(request: web.Request) -> web.Response:
    """Abort the client's connection; the response is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
