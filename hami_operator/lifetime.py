"""The operator's process: what runs beside what, and in which order it begins and ends.

Start: endpoints -> first lists -> watches -> election -> (leading) fence what the last leader left -> decide.
Stop: no more decisions -> bindings under way -> events -> watches -> endpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from hami_operator.app import App, build
from hami_operator.config import Settings
from hami_operator.endpoints import endpoints, extender_endpoints
from hami_operator.handlers import lifecycle
from hami_operator.kube.access import load_access
from hami_operator.kube.background import beside
from hami_operator.kube.client import Client
from hami_operator.serving import server
from hami_operator.serving.server import Bounds, Serving
from hami_operator.telemetry import Telemetry


async def run(settings: Settings, kubeconfig: str | None) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises:
        KubeError: the cluster can't be reached or refuses what we need.
        OSError: the address to serve on is taken.
    """
    stop = asyncio.Event()
    telemetry = Telemetry()
    access = await load_access(kubeconfig)
    async with Client(access, observe=telemetry.exchange) as client:
        app = build(settings, access, client, telemetry)
        listening = await _listen(app)
        try:
            await app.fill()
            async with _watching(app, stop), _duties(app):
                await _until_stopped(app, stop)
        finally:
            await app.turns.close()
            await app.locks.close()
            await app.recorder.close()
            for each in listening:
                await each.cleanup()


async def _listen(app: App) -> list[Serving]:
    """Serve people, and kube-scheduler where there is one: it may have a thousand pods to bind under way at a time."""
    settings = app.settings
    listening = [await server.serve(endpoints(app), settings.serving.host, settings.serving.port)]
    if settings.driver == "extender":
        # kube-scheduler keeps idle connections for 90 s, and fails a question on one that we have just closed.
        own, bounds = settings.extender, Bounds(connections=2048, requests=2048, idle_s=120.0)
        listening.append(await server.serve(extender_endpoints(app), own.host, own.port, bounds))
    return listening


async def _until_stopped(app: App, stop: asyncio.Event) -> None:
    """Stand for election, or lead at once where there is only one of us, until told to stop."""
    work = asyncio.ensure_future(app.elector.run(app.lead))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not work.done():
            work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


def _duties(app: App) -> contextlib.AbstractAsyncContextManager[None]:
    """What goes on whether we lead or not."""
    config = app.device_config
    return beside(
        *([config.follow(app.reconfigure, app.complain)] if config is not None else []),
        app.recorder.run(),
        *(sensor.keep_in_step(app.mended(name)) for name, sensor in app.sensors.items()),
        app.tend(),
    )


@contextlib.asynccontextmanager
async def _watching(app: App, stop: asyncio.Event) -> AsyncIterator[None]:
    """The sensors: Kopf, or our own streams for big clusters. ``stop`` is set by a signal, or when Kopf ends."""
    if app.settings.watch == "stream":
        works = [sensor.follow() for sensor in app.sensors.values()]
    else:
        kopf_tasks = await lifecycle.spawn({name: sensor.observe for name, sensor in app.sensors.items()}, app.access)
        works = [lifecycle.supervise(kopf_tasks, stop)]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):  # Kopf has just taken them
        loop.add_signal_handler(number, stop.set)
    async with beside(*works):
        yield
