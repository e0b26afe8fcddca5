"""Who is let in when a token is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from hami_operator.serving.gate import LONGEST_TOKEN, Gate
from hami_operator.serving.server import serve
from tests.serving.stage import busy

pytestmark = pytest.mark.asyncio


class NoAnswer(Exception):
    """The API server is not there."""


@asynccontextmanager
async def gated(asked: list[tuple[str, str]]) -> AsyncIterator[str]:
    """The page behind a gate: the token ``reader`` may get anything but the settings, ``nobody`` is unknown."""

    async def ask(token: str, path: str) -> bool | None:
        asked.append((token, path))
        if token == "lost":
            raise NoAnswer
        return {"reader": path != "/config"}.get(token)

    app = busy().application()
    app.middlewares.append(Gate(ask, NoAnswer).middleware)
    serving = await serve(app, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{serving.port}"
    finally:
        await serving.cleanup()


async def get(url: str, authorization: str = "") -> tuple[int, dict[str, str]]:
    headers = {"Authorization": authorization} if authorization else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, dict(response.headers)


@pytest.mark.parametrize(
    ("authorization", "path", "status"),
    [
        ("", "/", 401),
        ("", "/metrics", 401),
        ("", "/static/page.css", 401),
        ("Basic cmVhZGVyOg==", "/", 401),
        ("Bearer ", "/", 401),
        ("Bearer nobody", "/", 401),
        (f"Bearer {'x' * (LONGEST_TOKEN // 4)}", "/", 401),
        ("Bearer reader", "/", 200),
        ("bearer reader", "/api/v1/nodes", 200),
        ("Bearer reader", "/config", 403),
        ("Bearer lost", "/", 503),
        ("", "/livez", 200),
    ],
)
async def test_only_who_is_known_and_may_get_the_path_is_let_in(authorization: str, path: str, status: int) -> None:
    async with gated([]) as url:
        found, headers = await get(url + path, authorization)
    assert found == status
    assert (headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
    if status != 200:
        assert "default-src 'self'" in headers["Content-Security-Policy"]


async def test_answers_are_believed_for_a_while_and_data_needs_the_right_of_its_page() -> None:
    asked: list[tuple[str, str]] = []
    async with gated(asked) as url:
        for _ in range(3):
            await get(url, "Bearer reader")
            await get(url, "Bearer lost")
    assert asked.count(("reader", "/")) == 1
    async with gated(asked) as url:
        await get(f"{url}/api/v1/nodes/a30-0", "Bearer reader")
        await get(f"{url}/api/v1/overview", "Bearer reader")
    assert asked[-2:] == [("reader", "/nodes/a30-0"), ("reader", "/")]
    assert asked.count(("lost", "/")) == 3
