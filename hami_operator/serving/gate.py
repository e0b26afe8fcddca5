"""Lets in who bears a token that the API server knows and that may GET the path. Probes always pass."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from .server import PROBES, Handler

#: Seconds that an answer is believed, and answers kept: a page asks for a style sheet and itself again and again.
BELIEVED_SECONDS, ANSWERS_KEPT = 60.0, 1024
#: The longest token that is asked after.
LONGEST_TOKEN = 16_384

#: Token and path -> whether it may be read; None: the token is unknown. Raises where there is no answer.
Ask = Callable[[str, str], Awaitable[bool | None]]

_Known = tuple[float, bool | None]


def asked_for(path: str) -> str:
    """The path whose right a request needs: of data that of its page, since all who are logged in may GET /api/*."""
    if not path.startswith("/api/v1/"):
        return path
    page = path.removeprefix("/api/v1")
    return "/" if page == "/overview" else page


class Gate:
    """A middleware. ``failures`` are the errors of ``ask`` that mean no answer: then nobody is let in."""

    def __init__(self, ask: Ask, failures: type[Exception]) -> None:
        self._ask = ask
        self._failures = failures
        self._known: dict[tuple[bytes, str], _Known] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request that may pass."""
        if request.path not in PROBES:
            await self._check(request)
        return await handler(request)

    async def _check(self, request: web.Request) -> None:
        """Raise what the request is answered with, unless it may pass."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        verdict = None
        if scheme.lower() == "bearer" and 0 < len(token) <= LONGEST_TOKEN:
            try:
                verdict = await self._verdict(token.strip(), asked_for(request.path))
            except self._failures:
                text = "the API server can't be asked who you are\n"
                raise web.HTTPServiceUnavailable(text=text, headers={"Retry-After": "2"}) from None
        if verdict is None:
            text = "a token of this cluster is needed: Authorization: Bearer\n"
            raise web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": "Bearer"})
        if not verdict:
            text = "your account may not get this path: bind it to the ClusterRole hami-viewer\n"
            raise web.HTTPForbidden(text=text)

    async def _verdict(self, token: str, path: str) -> bool | None:
        key = hashlib.sha256(token.encode(errors="replace")).digest(), path
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < BELIEVED_SECONDS:
            return known[1]
        verdict = await self._ask(token, path)
        self._known.pop(key, None)
        self._known[key] = time.monotonic(), verdict
        if len(self._known) > ANSWERS_KEPT:
            del self._known[next(iter(self._known))]
        return verdict
