"""``/livez``: the event loop answers. ``/readyz``: all that decisions need is known. ``/metrics``: Prometheus text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4


def application(
    metrics_text: Callable[[], Awaitable[bytes]],
    missing: Callable[[], list[str]],
    remarks: Callable[[], list[str]] = list,
) -> web.Application:
    """The endpoints. ``missing`` names what is still waited for; a standby replica is ready too.

    ``remarks`` are sentences about what is wrong though we are ready.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = missing()
        if waiting:
            return web.Response(status=503, text="".join(f"waiting for {name}\n" for name in waiting))
        return web.Response(text="".join(f"{line}\n" for line in ("ok", *remarks())))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=await metrics_text(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
