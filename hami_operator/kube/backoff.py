"""How long to wait before the next try, and trying until there is a definite answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from .errors import Unanswered

T = TypeVar("T")

FIRST_S = 0.05
LONGEST_S = 10.0


def delays(first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> Iterator[float]:
    """Seconds between tries: doubling from ``first_s`` to ``longest_s``, each between 75 % and 125 % of that."""
    delay = first_s
    while True:
        yield delay * random.uniform(0.75, 1.25)
        delay = min(delay * 2, longest_s)


async def until_answered(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the API server answers: the result, or the ``Refused`` that the call raises.

    Each try calls anew, so that what must be unique per try can be.
    """
    for delay in delays():
        try:
            return await call()
        except Unanswered as error:
            await asyncio.sleep(max(delay, error.retry_after))
    raise AssertionError("delays() never ends")
