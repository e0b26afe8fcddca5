"""What the operator serves, put together from the parts of the process: probes, metrics, page, ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from hami_operator.extender import Extender, NotNow
from hami_operator.kube.errors import KubeError
from hami_operator.kube.lockbook import LockState
from hami_operator.kube.reviews import may_get
from hami_operator.serving import debug, health
from hami_operator.serving.extender import Endpoints
from hami_operator.serving.gate import Gate
from hami_operator.serving.history import History
from hami_operator.serving.metrics.exposition import exposition
from hami_operator.serving.origins import settings_shown
from hami_operator.serving.sight import EventsView, LeaderView, LocksView, NodeLockView, Sight
from hami_operator.serving.web.routes import routes
from hami_operator.world import World

if TYPE_CHECKING:
    from hami_operator.app import App


def sight_of(app: App) -> Sight:
    """What serving may look at."""
    locks, recorder, elector = app.locks, app.recorder, app.elector

    def locks_now() -> LocksView:
        held = [NodeLockView(state.node, _holder(state), state.since) for state in locks.held()]
        return LocksView(held, locks.waiting())

    return Sight(
        world=app.world,
        history=app.history,
        locks=locks_now,
        events=lambda: EventsView(recorder.waiting, recorder.dropped),
        leader=lambda: LeaderView(elector.leader, elector.is_leader),
        missing=app.missing,
        remarks=app.remarks,
        settings=settings_shown(app.settings, os.environ),
    )


def _holder(state: LockState) -> str:
    """The pod that holds the lock, or the annotation as it is where it names none."""
    lock = state.lock
    return f"{lock.namespace}/{lock.name}" if lock is not None and lock.name else state.value or ""


def endpoints(app: App) -> web.Application:
    """All addresses."""
    sight = sight_of(app)
    metrics = exposition(sight, app.telemetry.registry, app.settings.metrics)
    served = health.application(metrics.text, app.missing, app.remarks)
    served.add_routes(debug.routes(lambda: app.world.cluster.ledger))
    served.add_routes(routes(sight))
    if app.settings.serving.access == "token":
        served.middlewares.append(Gate(partial(may_get, app.client), KubeError).middleware)
    return served


def extender_endpoints(app: App) -> web.Application:
    """What kube-scheduler asks with the driver ``extender``; it is refused while we don't lead."""

    def extender() -> Extender:
        if isinstance(app.driver, Extender):
            return app.driver
        if missing := app.missing():
            raise NotNow(f"the operator waits for {', '.join(missing)}")
        raise NotNow(f"the operator is not ready to lead; the lease is held by {app.elector.leader or 'nobody'}")

    served = Endpoints(extender, NotNow, app.telemetry.extender)
    return served.application(app.settings.extender.request_mib * 1024 * 1024)


def remember(history: History, world: World, resource: str, obj: Mapping[str, Any], *, gone: bool) -> None:
    """News of an object that the world has taken over by now."""
    now = world.now()
    history.heard(resource, now)
    if resource == "pods":
        history.pod_seen(obj, gone=gone)
    elif resource == "nodes":
        name = obj["metadata"]["name"]
        entry = world.cluster.inventory.get(name)
        if entry is None:
            history.node_gone(name)
        else:
            history.node_seen(entry, world.cluster.profiles, now)
