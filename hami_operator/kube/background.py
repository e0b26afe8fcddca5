"""Work beside other work: for as long as something else goes on, or started by news and nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from .errors import KubeError, NotLeading

log = logging.getLogger(__name__)


class Background:
    """Work that news has started. It belongs to an owner, which is to close it; what goes wrong is left to the next
    news or sweep."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start it; only a ``KubeError`` may come of it."""
        task = asyncio.get_running_loop().create_task(quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Break off what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def quietly(work: Coroutine[Any, Any, None]) -> None:
    """What the API server refuses is logged; without the lease it is the next leader's affair."""
    try:
        await work
    except NotLeading:
        return
    except KubeError as error:
        log.warning("a node lock could not be released or given: %s", error)


@contextlib.asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Tasks that run for ever beside the body: an error in one of them ends all, the end of the body ends them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()
