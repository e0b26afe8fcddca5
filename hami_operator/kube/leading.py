"""Leading for as long as one may: what standing for election and following somebody else's have in common."""

from __future__ import annotations

import abc
import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .client import Client
from .errors import NotLeading

log = logging.getLogger(__name__)

_IDENTITY = re.compile(r"(.+)_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def host_of(holder: str) -> str:
    """The host of the kube-scheduler that has this identity; empty where it is nobody's, or somebody else's.

    ``<host name>_<UUID>``: Kubernetes v1.37 cmd/kube-scheduler/app/options.
    """
    named = _IDENTITY.fullmatch(holder)
    return named[1] if named is not None else ""


class Leadership(abc.ABC):
    """Whether this replica leads, by a lease. ``client`` must not be a guarded one.

    ``leader`` is who holds the lease as far as we know; ``changed`` is called when we begin and when we cease to lead
    (for metrics and logs), with ``is_leader``.
    """

    def __init__(
        self,
        client: Client,
        changed: Callable[[bool], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leader = ""
        self._client = client
        self._changed = changed
        self._monotonic = monotonic

    @property
    @abc.abstractmethod
    def is_leader(self) -> bool:
        """Whether we may write, by our own clock: right even while the API server can't be reached."""

    @abc.abstractmethod
    async def _begin(self) -> None:
        """Return when we lead."""

    @abc.abstractmethod
    async def _keep(self) -> None:
        """Return when we lead no more."""

    @abc.abstractmethod
    async def _end(self) -> None:
        """We stop altogether: let another one lead."""

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Go on for ever; while we lead, ``lead()`` runs as a task, cancelled when the lease is lost.

        Ends when cancelled (``lead`` is cancelled and awaited first), or when ``lead`` ends by itself, with its
        exception if it raised one.
        """
        try:
            while True:
                await self._begin()
                log.info("leading, the lease is held by %s", self.leader)
                self._changed(True)
                try:
                    if await lead_while(self._keep(), lead()):
                        return
                finally:
                    self._changed(False)
                log.warning("leading no more, the lease is held by %s", self.leader or "nobody")
        finally:
            await self._end()


async def lead_while(keeping: Coroutine[Any, Any, None], leading: Coroutine[Any, Any, None]) -> bool:
    """Lead for as long as the lease is kept; whether ``leading`` has ended by itself. Its error is raised."""
    work, lease = asyncio.ensure_future(leading), asyncio.ensure_future(keeping)
    try:
        await asyncio.wait({work, lease}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return False
        work.result()
    except NotLeading:  # the work found out first
        return False
    finally:
        await _stop(work)
        await _stop(lease)
    return True


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel and wait; what goes wrong meanwhile is only logged."""
    if task.done():
        return
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("stopping went wrong", exc_info=error)
