"""A thin client: raw bodies in, decoded JSON out, explicit timeouts, every failure one of ``errors``.

Watches have a connection pool of their own, because each holds its connection. Nothing is retried here except a request
that was refused with 401, once, after the credentials were read again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from . import paths
from .access import Access
from .backoff import until_answered
from .errors import AccessError, Denied, Expired, NotLeading, Unanswered, refusal

Json = dict[str, Any]
Params = Mapping[str, str]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

#: Asks for metadata only; a node's status holds kilobytes that nobody here reads.
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

PAGE = 500


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect; for a whole answer; a watch's life on the server; its longest silence (bookmarks: 60)."""

    connect: float = 5.0
    answer: float = 30.0
    watch: int = 600
    silence: float = 70.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request for the metrics. ``status`` is 0 when there was no answer."""

    method: str
    resource: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent. ``body`` is encoded already."""

    method: str
    path: str
    params: Params
    body: bytes | None = None
    content_type: str = "application/json"
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a list. All pages of one list are of the same ``resource_version``."""

    items: list[Json]
    resource_version: str


def _ignore(_: Exchange) -> None:
    return


class Client:
    """The API server, as seen by one process. Close it, or use it as an async context manager.

    ``observe`` is called after each request; ``may_write`` is asked before each write (see ``guarded``).
    """

    def __init__(
        self,
        access: Access,
        timeouts: Timeouts = Timeouts(),
        observe: Callable[[Exchange], None] = _ignore,
        connections: int = 100,
    ) -> None:
        self.access = access
        self._timeouts = timeouts
        self._observe = observe
        self._may_write: Callable[[], bool] | None = None
        self._requests = _session(access, connections)
        self._watches = _session(access, 0)

    def guarded(self, may_write: Callable[[], bool]) -> Client:
        """The same client (and connections) for work that needs the lease: writes raise NotLeading without it."""
        twin = object.__new__(Client)
        twin.__dict__.update(self.__dict__)
        twin._may_write = may_write
        return twin

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._requests.close()
        await self._watches.close()

    async def get(self, path: str, params: Params | None = None, accept: str = "application/json") -> Json:
        """GET. Without ``resourceVersion`` the answer is of now (a consistent read). Raises KubeError."""
        return await self._send(Request("GET", path, params or {}, accept=accept))

    async def create(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST. Raises KubeError; Conflict with ``exists`` when the name is taken."""
        return await self._write(Request("POST", path, {}, msgspec.json.encode(body)))

    async def replace(self, path: str, body: Mapping[str, Any]) -> Json:
        """PUT of a whole object. Raises KubeError; Conflict when its resourceVersion is stale."""
        return await self._write(Request("PUT", path, {}, msgspec.json.encode(body)))

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """PATCH by merge (null deletes). Answers with the whole object. Raises KubeError."""
        return await self._write(Request("PATCH", path, {}, msgspec.json.encode(body), MERGE_PATCH))

    async def strategic_patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """PATCH by strategic merge (lists with keys merge by key). Raises KubeError."""
        return await self._write(Request("PATCH", path, {}, msgspec.json.encode(body), STRATEGIC_PATCH))

    async def json_patch(self, path: str, operations: list[Json], accept: str = "application/json") -> Json:
        """PATCH by operations. Raises KubeError; Invalid with ``test_failed`` when a ``test`` does not hold."""
        return await self._write(Request("PATCH", path, {}, msgspec.json.encode(operations), JSON_PATCH, accept))

    async def pages(self, path: str, params: Params | None = None) -> AsyncGenerator[Page]:
        """LIST in pages of 500, all of one moment. Raises KubeError; Expired when it took too long: start again."""
        query = {"limit": str(PAGE), **(params or {})}
        while True:
            answer = await self.get(path, query)
            metadata = answer.get("metadata") or {}
            yield Page(answer.get("items") or [], str(metadata.get("resourceVersion", "")))
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def watch(self, path: str, version: str, params: Params | None = None) -> AsyncGenerator[tuple[str, Json]]:
        """Events since ``version`` as (type, object); bookmarks are among them. Ends when the server ends it.

        Raises:
            Expired: the version is too old; list again.
            Unanswered: the connection broke, or nothing came for ``Timeouts.silence``.
            Refused: the server does not allow it.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(self._timeouts.watch),
            **(params or {}),
        }
        request = Request("GET", path, query)
        limits = aiohttp.ClientTimeout(sock_connect=self._timeouts.connect, sock_read=self._timeouts.silence)
        async with self._exchange(self._watches, request, limits) as response:
            if response.status == 401:
                await self._log_in_again()
                raise Unanswered(f"GET {path}: 401, the credentials were read again")
            await _check(response)
            async for line in _lines(response):
                event = _decode(line)
                if event.get("type") == "ERROR":
                    raise _watch_error(event.get("object") or {})
                yield event["type"], event["object"]

    async def _write(self, request: Request) -> Json:
        if self._may_write is not None and not self._may_write():
            raise NotLeading(f"{request.method} {request.path}: the lease is lost")
        return await self._send(request)

    async def _send(self, request: Request) -> Json:
        try:
            return await self._once(request)
        except Denied as error:
            if error.status != 401:
                raise
        await self._log_in_again()
        return await self._once(request)

    async def _log_in_again(self) -> None:
        """Read the credentials again. Nothing was sent where that fails, so it is to be tried again: Unanswered."""
        try:
            await self.access.refresh()
        except AccessError as error:
            raise Unanswered(str(error)) from error

    async def _once(self, request: Request) -> Json:
        limits = aiohttp.ClientTimeout(total=self._timeouts.answer, sock_connect=self._timeouts.connect)
        async with self._exchange(self._requests, request, limits) as response:
            await _check(response)
            return _decode(await response.read())

    @contextlib.asynccontextmanager
    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send; whatever breaks until the answer has been read is ``Unanswered``. The request is observed once."""
        headers = {"Accept": request.accept, "Content-Type": request.content_type}
        if authorization := await self.access.authorization():
            headers["Authorization"] = authorization
        url = URL(self.access.server + request.path, encoded=True)
        if request.params:
            url = url.with_query(dict(request.params))
        started, status = time.monotonic(), 0
        try:
            async with session.request(
                request.method,
                url,
                data=request.body,
                headers=headers,
                timeout=limits,
                allow_redirects=False,
                proxy=self.access.proxy,
                server_hostname=self.access.server_name,
            ) as response:
                status = response.status
                yield response
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            problem = str(error) or type(error).__name__
            raise Unanswered(f"{request.method} {request.path}: no answer: {problem}") from error
        finally:
            self._observe(Exchange(request.method, paths.resource(request.path), status, time.monotonic() - started))


def _session(access: Access, connections: int) -> aiohttp.ClientSession:
    """``connections`` 0 means no limit."""
    connector = aiohttp.TCPConnector(limit=connections, ssl=access.tls if access.tls is not None else True)
    session = aiohttp.ClientSession(connector=connector, trust_env=False)
    # aiohttp would send a PUT again when the connection breaks, so a conflict with ourselves would look like a refusal.
    session._retry_connection = False
    return session


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raise the error of an answer that is not 2xx; its body is read, which frees the connection."""
    if 200 <= response.status < 300:
        return
    body = await response.read()
    status: Json = {}
    with contextlib.suppress(Unanswered):
        status = _decode(body)
    if 400 <= response.status < 500 and response.status not in (408, 429):
        raise refusal(response.status, status or {"message": body[:200].decode(errors="replace")})
    retry_after = response.headers.get("Retry-After", "")
    raise Unanswered(
        f"{response.method} {response.url.path}: {response.status} {status.get('message', '')}",
        float(retry_after) if retry_after.isdecimal() else 0.0,
    )


def _watch_error(status: Json) -> Expired | Unanswered:
    if status.get("code") == 410:
        return Expired(410, str(status.get("reason", "")), str(status.get("message", "")))
    return Unanswered(f"the watch ended: {status.get('code', '')} {status.get('message', '')}")


def _decode(body: bytes) -> Json:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unanswered(f"the answer is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unanswered(f"the answer is no JSON object but {type(value).__name__}")
    return value


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whole lines of any length."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


async def server_version(client: Client) -> tuple[int, int]:
    """(major, minor) of the API server; cloud vendors write the minor as ``35+``. Tries until there is an answer."""
    answer = await until_answered(lambda: client.get(paths.VERSION))
    digits = ("".join(c for c in str(answer.get(key, "")) if c.isdigit()) for key in ("major", "minor"))
    major, minor = (int(text or 0) for text in digits)
    return major, minor
