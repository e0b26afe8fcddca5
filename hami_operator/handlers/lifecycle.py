"""Kopf itself: which handlers, which settings, how it logs in and how it stops.

Pods and nodes have ``on.event`` handlers that return nothing: every other decorator writes annotations or finalizers to
users' objects. Kopf's change detection copies each object five times and is switched off for them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import Any

import kopf

from hami_operator.kube.access import Access

Sink = Callable[[str | None, Any], None]


class _ForEver:
    """Seconds between tries after 5xx, 403 and 429. It has no end: the cluster's trouble must not end the sensor."""

    def __iter__(self) -> Iterator[float]:
        yield from (1.0, 1.0, 2.0, 3.0)
        yield from itertools.repeat(5.0)


class _StoreNothing(kopf.DiffBaseStorage):
    """Keeps no last-handled configuration: nothing of ours is compared by Kopf."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        return


class _ProgressNowhere(kopf.ProgressStorage):
    """Keeps no handler progress: event handlers have none."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        return

    def clear(self, *, essence: Any) -> Any:
        return essence


def registry(sinks: Mapping[str, Sink], access: Access) -> kopf.OperatorRegistry:
    """The handlers, one per resource (plural name). A sink gets what a watch tells: its type and the object."""
    handlers = kopf.OperatorRegistry()
    for resource, sink in sinks.items():
        kopf.on.event(resource, registry=handlers, id=resource)(_handler(sink))

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _connection(access)

    return handlers


def _handler(sink: Sink) -> Callable[..., Coroutine[Any, Any, None]]:
    async def seen(event: Any, **_: Any) -> None:
        sink(event["type"], event["object"])

    return seen


async def _connection(access: Access) -> kopf.ConnectionInfo:
    scheme, _, token = (await access.authorization() or "").partition(" ")
    certificate, key = access.client_certificate or (None, None)
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_file,
        insecure=not access.verify,
        scheme=scheme or None,
        token=token or None,
        certificate_path=certificate,
        private_key_path=key,
    )


def settings() -> kopf.OperatorSettings:
    """Kopf's settings, each set on purpose."""
    result = kopf.OperatorSettings()
    result.peering.standalone = True
    result.posting.enabled = False
    result.networking.request_timeout = 30
    result.networking.connect_timeout = 5
    result.networking.error_backoffs = _ForEver()
    result.watching.connect_timeout = 10
    result.watching.server_timeout = 600
    result.watching.inactivity_timeout = 70
    result.queueing.exit_timeout = 5
    result.queueing.idle_timeout = 1
    result.execution.max_workers = 2
    result.persistence.diffbase_storage = _StoreNothing()
    result.persistence.progress_storage = _ProgressNowhere()
    return result


async def spawn(sinks: Mapping[str, Sink], access: Access) -> Collection[asyncio.Task[Any]]:
    """Start Kopf's tasks; ``kopf.run_tasks`` is to wait for them."""
    tasks = await kopf.spawn_tasks(
        registry=registry(sinks, access), settings=settings(), standalone=True, clusterwide=True
    )
    return tasks


async def supervise(tasks: Collection[asyncio.Task[Any]], stop: asyncio.Event) -> None:
    """Kopf's own supervision. It cancels every task it does not know when it ends, so it has to end last."""
    try:
        await kopf.run_tasks(tasks, ignored=asyncio.all_tasks())
    finally:
        stop.set()
