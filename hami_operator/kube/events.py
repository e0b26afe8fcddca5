"""The recorder of Kubernetes Events (events.k8s.io/v1): never waits, counts instead of repeating, loses nothing.

The API server refuses notes of more than 1 024 bytes, and lets nothing of an Event change but its series.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from . import paths
from .backoff import until_answered
from .client import Client
from .errors import Conflict, NotFound, Refused
from .eventlog import EventSettings, Journal, Occurrence, Regarding, Write

__all__ = ["EventSettings", "Occurrence", "Recorder", "Regarding"]

log = logging.getLogger(__name__)

_DEFAULTS = EventSettings()

#: How long news is held back while something more urgent is written, and how often that is looked at, in seconds.
HOLD_SECONDS = 3.0
LOOK_SECONDS = 0.05


def _never() -> bool:
    return False


class Recorder:
    """Writes Events in the background. ``record`` may be called from anywhere in the event loop's thread.

    ``urgent`` tells whether something is being written that goes first: a pod that is bound later starts later, its
    Event can wait.
    """

    def __init__(
        self,
        client: Client,
        settings: EventSettings = _DEFAULTS,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._journal = Journal(settings)
        self._monotonic = monotonic
        self._clock = clock
        self._news = asyncio.Event()
        self._unfinished: Write | None = None
        self.urgent: Callable[[], bool] = _never

    @property
    def waiting(self) -> int:
        """How many sentences wait to be written."""
        return len(self._journal)

    @property
    def dropped(self) -> int:
        """How many were dropped since the start, because too many waited."""
        return self._journal.dropped

    def record(self, occurrence: Occurrence) -> None:
        """Take note of something; it is written soon."""
        self._journal.add(occurrence, self._monotonic(), self._clock())
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled. What is left then is for ``close``."""
        while True:
            self._news.clear()
            pause = await self._write_due()
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                continue

    async def close(self, limit_s: float = 5.0) -> None:
        """Write what may be written at once, for at most ``limit_s`` seconds. ``run`` must have ended."""
        self.urgent = _never
        try:
            async with asyncio.timeout(limit_s):
                if self._unfinished is not None:
                    await self._write(self._unfinished)
                await self._write_due()
        except TimeoutError:
            log.warning("%d events were not written before the end", self.waiting + 1)

    async def _write_due(self) -> float | None:
        """Write all that is due; the seconds until more may be, None when nothing waits."""
        while True:
            hold_s = HOLD_SECONDS if self.urgent() else 0.0
            write = self._journal.take(self._monotonic(), hold_s)
            if not isinstance(write, Write):
                return min(write, LOOK_SECONDS) if hold_s and write is not None else write
            await self._write(write)

    async def _write(self, write: Write) -> None:
        self._unfinished = write
        try:
            await until_answered(lambda: self._send(write))
        except Refused as error:
            log.warning("event %r about %s: %s", write.body["reason"], write.name, error)
        self._unfinished = None

    async def _send(self, write: Write) -> None:
        collection = paths.events(write.namespace)
        if write.counted:
            try:
                await self._client.merge_patch(f"{collection}/{write.name}", write.series)
            except NotFound:
                log.debug("event %s has expired and begins anew", write.name)
            else:
                return
        with contextlib.suppress(Conflict):  # it is there: an earlier try had its effect
            await self._client.create(collection, write.body)
