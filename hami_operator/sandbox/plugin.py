"""The simulated device plugin of a hollow node, a process of its own in the node's mount namespace.

``python -m hami_operator.sandbox.plugin CONFIG.json``: speaks the device plugin API to the real kubelet, HAMi's
annotations to the API server, and takes faults over its control endpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc

from . import control, deviceplugin
from .allocation import Plugin, PluginNode
from .api import Api, node_path
from .cards import card_type, cards_of
from .configs import PluginConfig
from .deviceplugin import HEALTHY, MESSAGES, UNHEALTHY
from .errors import AllocateFailed, ApiError
from .faults import Faults
from .journal import Journal
from .plugins import Call
from .podview import alive, init_done

log = logging.getLogger(__name__)

#: Seconds between two looks at the kubelet's socket, which is made anew when the kubelet restarts.
LOOK_S = 0.2
REGISTER_DEADLINE_S = 5.0


def plugin_node(config: PluginConfig) -> PluginNode:
    """The node with its cards."""
    card = card_type(config.card)
    release = card.habits.releases[config.release]
    return PluginNode(config.node, cards_of(config.node, card, config.cards, release), card.habits, release)


class KubeletSide:
    """The plugin as the kubelet sees it: one device id for each slot of each card, and Allocate."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._changed = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def set_faults(self, _node: str, faults: Faults) -> None:
        """Take over faults, and tell the kubelet and the API server about health."""
        await self._plugin.set_faults(faults)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def keep_served(self) -> None:
        """Serve and register for ever, anew whenever the kubelet made its socket anew."""
        served: tuple[int, int] | None = None
        while True:
            found = _identity(deviceplugin.KUBELET_SOCKET)
            if found not in (None, served) and await self._serve():
                served = found
            await asyncio.sleep(LOOK_S)

    async def _serve(self) -> bool:
        if self._server is not None:
            await self._server.stop(grace=None)
        habits = self._plugin.node.habits
        socket = f"{deviceplugin.SOCKETS}/{habits.socket}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(
            (deviceplugin.service(self._options, self._list_and_watch, self._allocate),)
        )
        self._server.add_insecure_port(f"unix://{socket}")
        await self._server.start()
        try:
            await deviceplugin.register(habits.socket, habits.resource, REGISTER_DEADLINE_S)
        except grpc.RpcError as error:
            log.warning("the kubelet does not take the registration: %s", error)
            return False
        log.info("registered %s with the kubelet", habits.resource)
        return True

    async def _options(self, _request: Any, _context: Any) -> Any:
        return MESSAGES["DevicePluginOptions"]()

    async def _list_and_watch(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        while True:
            changed = self._changed
            yield MESSAGES["ListAndWatchResponse"](devices=self._devices())
            await changed.wait()

    def _devices(self) -> list[Any]:
        return [
            MESSAGES["Device"](ID=f"{card.uuid}-{slot}", health=HEALTHY if card.healthy else UNHEALTHY)
            for card in self._plugin.cards
            for slot in range(card.slots)
        ]

    async def _allocate(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        answers = []
        for wanted in request.container_requests:
            try:
                injection = await self._plugin.allocate(
                    Call(self._plugin.node.habits.resource, len(wanted.devices_ids))
                )
            except AllocateFailed as error:
                await context.abort(grpc.StatusCode.UNKNOWN, str(error))
            mounts = [MESSAGES["Mount"](**asdict(mount)) for mount in injection.mounts]
            answers.append(MESSAGES["ContainerAllocateResponse"](envs=dict(injection.envs), mounts=mounts))
        return MESSAGES["AllocateResponse"](container_responses=answers)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file stands at a path; another one after it was made anew, even where the inode is used again."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns


async def _node_exists(api: Api, node: str) -> None:
    while True:
        try:
            await api.get(node_path(node))
        except ApiError as error:
            log.debug("node %s: %s", node, error)
            await asyncio.sleep(LOOK_S)
        else:
            return


async def run(config: PluginConfig) -> None:
    """Play the plugin until the process is ended."""
    node = plugin_node(config)
    async with Api(Path(config.kubeconfig)) as api:

        async def live_pods() -> Mapping[str, bool]:
            pods = await api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={node.name}")
            return {pod["metadata"]["uid"]: init_done(pod) for pod in pods["items"] if alive(pod)}

        plugin = Plugin(node, api, Journal(Path(config.journal)), live_pods)
        kubelet = KubeletSide(plugin)
        routes = [control.fault_route(kubelet.set_faults), control.faults_seen_route(lambda _: plugin.faults)]
        await control.serve(routes, Path(config.address_file))
        await _node_exists(api, node.name)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kubelet.keep_served())
            tasks.create_task(plugin.keep_registered())


def main() -> None:
    """Entry point: the one argument is the path of the configuration."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run(PluginConfig.read(sys.argv[1])))


if __name__ == "__main__":
    main()
