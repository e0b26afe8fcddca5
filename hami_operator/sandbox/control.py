"""The control endpoint of the processes that play nodes: an HTTP server on loopback whose address stands in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from .errors import SandboxError
from .faults import Faults

#: Seconds that a control call may take.
CALL_S = 10.0

Routes = Iterable[web.RouteDef]
FaultSetter = Callable[[str, Faults], Coroutine[Any, Any, None]]


async def serve(routes: Routes, address_file: Path) -> web.AppRunner:
    """Open the endpoint on a free port of loopback and write ``host:port`` to ``address_file`` in one step."""
    app = web.Application(middlewares=[_say_what_is_wrong])
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    unfinished = address_file.with_suffix(".new")
    unfinished.write_text(f"{host}:{port}", encoding="utf-8")
    os.replace(unfinished, address_file)
    return runner


@web.middleware
async def _say_what_is_wrong(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except (SandboxError, ValueError) as error:
        return web.Response(status=400, text=str(error))
    return response


def fault_route(set_faults: FaultSetter) -> web.RouteDef:
    """``POST /nodes/NAME/faults`` with the JSON of ``Faults``: replaces what was on before."""

    async def handle(request: web.Request) -> web.Response:
        await set_faults(request.match_info["node"], Faults.from_json(await request.json()))
        return web.Response(status=204)

    return web.post("/nodes/{node}/faults", handle)


def faults_seen_route(seen: Callable[[str], Faults]) -> web.RouteDef:
    """``GET /nodes/NAME/faults``: what is on now."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(seen(request.match_info["node"]).to_json())

    return web.get("/nodes/{node}/faults", handle)


async def call(address: str, method: str, path: str, **arguments: Any) -> Any:
    """One call of such an endpoint: the decoded JSON of the answer, or None for any other answer.

    Raises:
        SandboxError: the endpoint refuses, with its own words, or does not answer.
    """
    timeout = aiohttp.ClientTimeout(total=CALL_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, f"http://{address}{path}", **arguments) as response,
        ):
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SandboxError(f"{method} {path} at {address}: no answer: {error}") from error
    if response.status >= 400:
        raise SandboxError(f"{method} {path}: {text.strip()}")
    return json.loads(text) if text.startswith(("[", "{")) else None
