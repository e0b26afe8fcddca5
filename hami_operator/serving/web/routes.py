"""Addresses of the views, as pages and under ``/api/v1`` as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from jinja2 import Environment

from hami_operator.serving.sight import Sight

from .assets import Asset, digest, environment, load_assets
from .views.config import config
from .views.nodes import node, nodes
from .views.overview import overview
from .views.paging import Query
from .views.pending import pending
from .views.quotas import quotas
from .views.workloads import advised, workloads

#: The longest text that is looked for: a name has 253 characters, a namespace 63.
LONGEST_TEXT = 320
MOST_PAGES = 100_000

Build = Callable[[Sight, web.Request], object | Awaitable[object] | None]


@dataclass(frozen=True, slots=True)
class View:
    """A view: its address, its template, and how it is built from a request (None: there is no such thing)."""

    path: str
    template: str
    build: Build

    async def model(self, sight: Sight, request: web.Request) -> object | None:
        """What is shown."""
        built = self.build(sight, request)
        return await built if inspect.isawaitable(built) else built


VIEWS = (
    View("/", "overview.html", lambda sight, _: overview(sight)),
    View("/nodes", "nodes.html", lambda sight, request: nodes(sight, read_query(request))),
    View("/nodes/{name}", "node.html", lambda sight, request: node(sight, request.match_info["name"])),
    View("/workloads", "workloads.html", lambda sight, request: workloads(sight, read_query(request))),
    View(
        "/workloads/{namespace}/{name}",
        "workload.html",
        lambda sight, request: advised(sight, request.match_info["namespace"], request.match_info["name"]),
    ),
    View("/pending", "pending.html", lambda sight, request: pending(sight, read_query(request))),
    View("/quotas", "quotas.html", lambda sight, request: quotas(sight, read_query(request))),
    View("/config", "config.html", lambda sight, _: config(sight)),
)


def read_query(request: web.Request) -> Query:
    """``?q=`` and ``?page=``. Raises HTTPBadRequest that names the field, the value and what is allowed."""
    text, page = request.query.get("q", ""), request.query.get("page", "1")
    if len(text) > LONGEST_TEXT:
        raise web.HTTPBadRequest(text=f"q has {len(text)} characters, allowed are {LONGEST_TEXT}\n")
    if not (page.isascii() and page.isdecimal() and len(page) < 7 and 1 <= int(page) <= MOST_PAGES):
        raise web.HTTPBadRequest(text=f"page is {page[:20]!r}, allowed is a number from 1 to {MOST_PAGES}\n")
    return Query(text, int(page))


def routes(sight: Sight) -> list[web.RouteDef]:
    """All addresses."""
    templates, found = environment(), []
    for view in VIEWS:
        found.append(web.get(view.path, _page(sight, view, templates)))
        found.append(web.get(f"/api/v1{view.path}" if view.path != "/" else "/api/v1/overview", _data(sight, view)))
    for name, asset in load_assets().items():
        found.append(web.get(f"/static/{name}", _static(asset)))
    return found


_Handler = Callable[[web.Request], Any]


def _page(sight: Sight, view: View, templates: Environment) -> _Handler:
    template, missing = templates.get_template(view.template), templates.get_template("missing.html")

    async def show(request: web.Request) -> web.Response:
        model = await view.model(sight, request)
        status, chosen = (200, template) if model is not None else (404, missing)
        text = chosen.render(model=model, now=sight.world.now(), path=request.path, query=request.query)
        return web.Response(status=status, text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    return show


def _data(sight: Sight, view: View) -> _Handler:
    async def tell(request: web.Request) -> web.StreamResponse:
        model = await view.model(sight, request)
        if model is None:
            problem = msgspec.json.encode({"error": "there is no such thing", "path": request.path})
            return web.Response(status=404, body=problem, content_type="application/json")
        return _tagged(request, msgspec.json.encode(model, order="deterministic"), "application/json", "no-cache")

    return tell


def _static(asset: Asset) -> _Handler:
    async def give(request: web.Request) -> web.StreamResponse:
        return _tagged(request, asset.body, asset.content_type, "no-cache")

    return give


def _tagged(request: web.Request, body: bytes, content_type: str, caching: str) -> web.StreamResponse:
    """The body with its ETag; 304 without it for who has it already."""
    etag = digest(body)
    known = request.if_none_match or ()
    if any(tag.value in (etag, "*") for tag in known):
        return web.Response(status=304, headers={"ETag": f'"{etag}"'})
    headers = {"ETag": f'"{etag}"', "Cache-Control": caching}
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)
