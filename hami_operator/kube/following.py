"""Leading while a lease is held by the kube-scheduler beside us: it elects, we follow.

kube-scheduler calls the extender of its own pod, so who decides must be where the elected one is. Its identity tells
its host (``host_of``), and containers of a pod share the host name.

It may lose the lease at any moment, and the next one may have it at once. So we lead until ``trust_s`` after the start
of the last look that showed it beside us, and who finds a new holder beside itself waits for as long before it leads:
two replicas never lead at once, whatever their clocks say, as long as their clocks run at the same speed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import paths
from .client import Client, Json
from .errors import KubeError, NotFound
from .leading import Leadership, host_of

log = logging.getLogger(__name__)

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """The lease, the host whose kube-scheduler we follow, and times in seconds: how often the lease is looked at, and
    for how long a look is trusted."""

    namespace: str
    name: str = "hami-operator"
    host: str = field(default_factory=socket.gethostname)
    look_s: float = 1.0
    trust_s: float = 5.0


class Follower(Leadership):
    """Leads where the elected kube-scheduler is."""

    def __init__(
        self,
        client: Client,
        settings: FollowSettings,
        changed: Callable[[bool], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, changed, monotonic)
        self._settings = settings
        self._since = _NEVER
        self._until = _NEVER
        self._lapses = 0

    @property
    def is_leader(self) -> bool:
        """Whether we may write."""
        return self._since <= self._monotonic() < self._until

    async def _begin(self) -> None:
        while not self.is_leader:
            await self._look()

    async def _keep(self) -> None:
        """Return when the lease is lost, or was for a moment: writes were refused then, and left things open."""
        lapses = self._lapses
        while self.is_leader and self._lapses == lapses:
            await self._look()

    async def _end(self) -> None:
        """The lease is not ours to give up."""

    async def _look(self) -> None:
        """Look at the lease, and wait until it is time for the next look."""
        started = self._monotonic()
        path = f"{paths.leases(self._settings.namespace)}/{self._settings.name}"
        try:
            async with asyncio.timeout(self._settings.trust_s):
                self.observe((await self._client.get(path)).get("spec") or {}, started)
        except NotFound:
            self.observe({}, started)
        except (KubeError, TimeoutError) as error:
            log.warning("the lease can't be looked at: %s", error)
        await asyncio.sleep(max(0.0, self._settings.look_s - (self._monotonic() - started)))

    def observe(self, spec: Json, started: float) -> None:
        """Take over the lease as a look that began at ``started`` (monotonic seconds) has found it."""
        holder = str(spec.get("holderIdentity") or "")
        self._lapses += self._monotonic() >= self._until
        if host_of(holder) != self._settings.host:
            self._until = _NEVER
        else:
            self._until = started + self._settings.trust_s
            if holder != self.leader:
                self._since = self._monotonic() + self._settings.trust_s
        self.leader = holder
