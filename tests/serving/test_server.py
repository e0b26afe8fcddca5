"""Slow clients and many of them: they are served or refused, and probes pass all the time."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from hami_operator.sandbox.waiting import until
from hami_operator.serving.server import Bounds
from tests.serving.stage import busy, large, served

pytestmark = pytest.mark.asyncio


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port), limit=1024)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closes within a deadline."""
    try:
        async with asyncio.timeout(10):
            while await reader.read(1024):
                pass
    except ConnectionError:
        return True
    return True


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with served(busy(), Bounds(patience_s=0.1)) as url:
        reader, writer = await connect(url)
        writer.write(b"GET / HT")
        assert await ended(reader)
        writer.close()


async def test_a_connection_that_has_spoken_is_kept() -> None:
    async with served(busy(), Bounds(patience_s=0.2)) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/livez") as response:
            await response.read()
        await asyncio.sleep(0.4)  # longer than silent ones are borne
        async with session.get(f"{url}/livez") as response:
            assert response.status == 200


async def test_connections_beyond_the_bound_are_refused_and_places_become_free_again() -> None:
    async with served(busy(), Bounds(connections=2, patience_s=5)) as url:
        held = [await connect(url) for _ in range(2)]
        for _, writer in held:
            writer.write(b"GET / HT")
        await asyncio.sleep(0)
        late, writer = await connect(url)
        assert await ended(late)
        writer.close()
        for _, writer in held:
            writer.close()

        async def answers() -> bool | None:
            try:
                return await status(f"{url}/livez") == 200 or None
            except aiohttp.ClientError:
                return None

        await until("there is room again", answers, 10)


async def test_who_does_not_read_is_cut_off_and_others_are_served_meanwhile() -> None:
    bounds = Bounds(scrapes=1, reading_s=0.5)
    async with served(large(300), bounds) as url:
        _, writer = await connect(url)
        writer.transport.pause_reading()
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()

        async def scraped(wanted: int) -> bool | None:
            return await status(f"{url}/metrics") == wanted or None

        await until("a second scrape is refused", lambda: scraped(503), 10)
        assert await status(f"{url}/livez") == 200
        assert await status(f"{url}/pending") == 200
        await until("the slow one is cut off", lambda: scraped(200), 10)
        writer.close()


async def test_more_requests_than_the_bound_are_refused_with_a_time_to_come_back() -> None:
    async with served(busy(), Bounds(requests=0)) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/nodes") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert await status(f"{url}/readyz") == 200
