"""Leader election on a Lease of coordination.k8s.io, with fencing by our own clock.

We lead until ``renew_deadline_s`` after the *start* of the last renewal that was confirmed. Others may take the lease
only ``duration_s`` after they saw it change last, which is later; so two never lead at once, whatever their clocks say,
as long as their clocks run at the same speed. Who follows a kube-scheduler that held the lease is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import paths
from .client import Client, Json
from .errors import Conflict, KubeError, NotFound
from .eventlog import micro_time
from .leading import Leadership, host_of

log = logging.getLogger(__name__)


def _identity() -> str:
    return f"{socket.gethostname()}_{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """The lease and its times in seconds; ``renew_deadline_s`` must be shorter than ``duration_s``, and longer than
    ``retry_s``. ``identity`` is unique to this process."""

    namespace: str
    name: str = "hami-operator"
    identity: str = field(default_factory=_identity)
    duration_s: int = 15
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_s < self.renew_deadline_s < self.duration_s:
            raise ValueError(
                f"lease times must rise: retry {self.retry_s} s < renew deadline {self.renew_deadline_s} s "
                f"< duration {self.duration_s} s"
            )


class Elector(Leadership):
    """Takes part in the election, and gives the lease up in the end."""

    def __init__(
        self,
        client: Client,
        settings: LeaseSettings,
        changed: Callable[[bool], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, changed, monotonic)
        self._settings = settings
        self._since = float("-inf")
        self._until = float("-inf")
        self._after_kube_scheduler = False
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = float("-inf")

    @property
    def is_leader(self) -> bool:
        """Whether we may write."""
        return self._since <= self._monotonic() < self._until

    async def _begin(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.renew_deadline_s):
                    await self._try()
            except (KubeError, TimeoutError) as error:
                log.debug("the lease can't be taken: %s", error)
            if self.is_leader:
                return
            await asyncio.sleep(self._settings.retry_s * random.uniform(0.8, 1.2))

    async def _keep(self) -> None:
        """Renew; return when the lease is lost: somebody else has it, or it could not be renewed in time."""
        while True:
            await asyncio.sleep(self._settings.retry_s * random.uniform(0.8, 1.0))
            left = self._until - self._monotonic()
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._try()
            except (KubeError, TimeoutError) as error:
                log.warning("the lease could not be renewed: %s", error)
            if self.leader != self._settings.identity:
                return

    async def _try(self) -> None:
        """One look at the lease, and one attempt to take or renew it if that is allowed. Raises KubeError."""
        collection = paths.leases(self._settings.namespace)
        started = self._monotonic()
        try:
            lease = await self._client.get(f"{collection}/{self._settings.name}")
        except NotFound:
            await self._client.create(collection, self._lease({}, {}))
            self._won(started)
            return
        spec = lease.get("spec") or {}
        self._observe(spec)
        if not self._free(spec):
            return
        try:
            started = self._monotonic()
            await self._client.replace(f"{collection}/{self._settings.name}", self._lease(lease["metadata"], spec))
        except Conflict:
            return  # somebody was faster; the next look shows who
        self._won(started)

    def _observe(self, spec: Json) -> None:
        self.leader = str(spec.get("holderIdentity") or "")
        self._after_kube_scheduler |= bool(host_of(self.leader))
        if self.leader != self._settings.identity:
            self._until = float("-inf")
        seen = (self.leader, str(spec.get("renewTime") or ""))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._monotonic()

    def _free(self, spec: Json) -> bool:
        if self.leader in ("", self._settings.identity):
            return True
        duration = float(spec.get("leaseDurationSeconds") or self._settings.duration_s)
        return self._monotonic() >= self._seen_at + duration

    def _won(self, started: float) -> None:
        if self._after_kube_scheduler:  # who followed it may believe for a while that it leads (``Follower``)
            self._since = self._monotonic() + self._settings.renew_deadline_s / 2
            self._after_kube_scheduler = False
        self.leader = self._settings.identity
        self._until = started + self._settings.renew_deadline_s

    def _lease(self, metadata: Json, spec: Json) -> Json:
        """The Lease as ours; the rest of what stands in it is kept."""
        now = micro_time(time.time())
        mine = {"holderIdentity": self._settings.identity, "leaseDurationSeconds": self._settings.duration_s}
        if spec.get("holderIdentity") != self._settings.identity:
            mine["acquireTime"] = now
            mine["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if spec else 0)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {**metadata, "name": self._settings.name, "namespace": self._settings.namespace},
            "spec": {**spec, **mine, "renewTime": now},
        }

    async def _end(self) -> None:
        """Give the lease up, so that another need not wait for it to expire. Tried once."""
        if not self.is_leader:
            return
        self._until = float("-inf")
        path = f"{paths.leases(self._settings.namespace)}/{self._settings.name}"
        try:
            async with asyncio.timeout(self._settings.retry_s):
                lease = await self._client.get(path)
                if lease["spec"].get("holderIdentity") != self._settings.identity:
                    return
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(path, {**lease, "spec": spec})
        except (KubeError, TimeoutError) as error:
            log.warning("the lease could not be given up, it expires in %d s: %s", self._settings.duration_s, error)
