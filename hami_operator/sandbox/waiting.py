"""Waiting for conditions: ask, sleep a little, ask again, until a deadline that names what did not come true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import TimedOut

T = TypeVar("T")

#: Seconds between two questions that cost little.
ASK_S = 0.05


async def until(what: str, ask: Callable[[], Awaitable[T | None]], seconds: float, every: float = ASK_S) -> T:
    """The first answer that is not None. Raises TimedOut, naming ``what``, after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await ask()
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            raise TimedOut(f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(every)
