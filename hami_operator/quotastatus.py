"""Keeping the status of our quota objects true: at most one write a second and object, none while nothing changes.

What is written is computed anew from the ledger each time; nothing here is remembered but what the objects say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.quota import OWN_KIND, QuotaId
from hami_operator.core.quotareport import status_of
from hami_operator.kube.errors import KubeError, Refused
from hami_operator.world import World

log = logging.getLogger(__name__)

#: Seconds between two writes to one object, and between two looks at what changed.
PAUSE = 1.0

#: Objects written at the same time.
WRITERS = 8

#: Writes a status to the object of this uid, answers with the object.
Write = Callable[[QuotaId, str, dict[str, Any]], Awaitable[Mapping[str, Any]]]


@dataclass(slots=True)
class _Seen:
    """An object as it was seen last."""

    uid: str
    version: int
    status: Mapping[str, Any] = field(default_factory=dict)


class QuotaStatus:
    """All our objects. ``seen`` is told of them always; ``run`` is for the leader."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: dict[QuotaId, _Seen] = {}
        self._dirty: set[QuotaId] = set()

    def seen(self, obj: Mapping[str, Any], gone: bool) -> None:  # noqa: FBT001 - a callback of the sensors
        """An object was added, changed, listed or (``gone``) deleted."""
        metadata = obj["metadata"]
        quota = QuotaId(OWN_KIND, metadata["namespace"], metadata["name"])
        known = self._seen.get(quota)
        if gone:
            if known is not None and known.uid == metadata["uid"]:
                del self._seen[quota]
            return
        version = int(metadata["resourceVersion"])
        if known is None or known.uid != metadata["uid"] or version >= known.version:
            status = obj.get("status")
            self._seen[quota] = _Seen(metadata["uid"], version, status if isinstance(status, Mapping) else {})
            self._dirty.add(quota)

    async def run(self, write: Write) -> None:
        """Keep every status true, for ever."""
        self._dirty.update(self._seen)
        while True:
            due = self._due()
            room = asyncio.Semaphore(WRITERS)
            await asyncio.gather(*(self._settle(quota, write, room) for quota in sorted(due, key=str)))
            await asyncio.sleep(PAUSE)

    def _due(self) -> set[QuotaId]:
        """The objects whose status may have changed since the last look."""
        book, due = self._world.cluster.quotas, self._dirty
        self._dirty = set()
        for touched in (self._world.cluster.ledger.touched, self._world.blocked.touched):
            for namespace in touched:
                due.update(quota.id for quota in book.of(namespace) if quota.id.kind == OWN_KIND)
            touched.clear()
        return due

    async def _settle(self, quota: QuotaId, write: Write, room: asyncio.Semaphore) -> None:
        """Write the object's status if it is not what it should be."""
        async with room:
            seen, status = self._seen.get(quota), self._status(quota)
            if seen is None or status is None or status == seen.status:
                return
            try:
                answer = await write(quota, seen.uid, status)
            except Refused as error:
                log.info("%s: its status could not be written: %s", quota, error)
            except KubeError as error:
                log.info("%s: its status could not be written: %s", quota, error)
                self._dirty.add(quota)
            else:
                self._take(quota, answer)

    def _take(self, quota: QuotaId, answer: Mapping[str, Any]) -> None:
        """The object as our write left it, unless newer news came meanwhile."""
        version, known = int(answer["metadata"]["resourceVersion"]), self._seen.get(quota)
        if known is not None and known.uid == answer["metadata"]["uid"] and version > known.version:
            self._seen[quota] = _Seen(known.uid, version, answer["status"])

    def _status(self, quota: QuotaId) -> dict[str, Any] | None:
        world, found = self._world, self._world.cluster.quotas.get(quota)
        if found is None:
            return None
        records = list(world.cluster.ledger.space(quota.namespace).pods.values())
        waiting = world.blocked.of(quota.namespace).values()
        return status_of(found, records, waiting, self._seen[quota].status, world.now())
