"""The process that plays all simulated nodes of a sandbox: one watch of pods, a few requests per pod.

``python -m hami_operator.sandbox.simulator CONFIG.json``. Nodes are added, taken away and disturbed over its control
endpoint.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from . import control
from .allocation import PluginNode
from .api import CALL_ERRORS, Api, node_path
from .cards import card_type, cards_of
from .configs import SimulatorConfig
from .errors import BadSpec
from .faults import Faults
from .journal import Journal
from .simnode import LEASES, SimulatedNode

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: Pods bound to a node, by the server's choice.
_BOUND = {"fieldSelector": "spec.nodeName!="}

#: Nodes made at the same time, and seconds before a broken watch is begun anew.
_AT_ONCE = 32
AGAIN_S = 0.5


class Simulator:
    """All simulated nodes."""

    def __init__(self, api: Api, journal: Journal) -> None:
        self._api = api
        self._journal = journal
        self._nodes: dict[str, SimulatedNode] = {}

    def routes(self) -> list[web.RouteDef]:
        """The control endpoint."""
        return [
            web.post("/nodes", self._add),
            web.delete("/nodes/{node}", self._remove),
            control.fault_route(self._set_faults),
            control.faults_seen_route(self._faults),
            web.post("/nodes/{node}/power", self._power),
            web.get("/nodes/{node}/containers", self._containers),
            web.post("/nodes/{node}/exit", self._exit),
        ]

    def _node(self, name: str) -> SimulatedNode:
        try:
            return self._nodes[name]
        except KeyError:
            raise BadSpec(f"there is no simulated node {name!r}") from None

    async def _add(self, request: web.Request) -> web.Response:
        """A JSON list of ``name``, ``card``, ``cards``, ``release``."""
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def add(wanted: Json) -> None:
            card = card_type(wanted["card"])
            release = card.habits.releases[wanted["release"]]
            cards = cards_of(wanted["name"], card, wanted["cards"], release)
            node = SimulatedNode(PluginNode(wanted["name"], cards, card.habits, release), self._api, self._journal)
            self._nodes[wanted["name"]] = node
            async with at_once:
                await node.register()

        await asyncio.gather(*(add(wanted) for wanted in await request.json()))
        for pod in (await self._api.get("/api/v1/pods", **_BOUND))["items"]:  # bound before the node was there
            self._see(pod)
        return web.Response(status=204)

    async def _remove(self, request: web.Request) -> web.Response:
        name = request.match_info["node"]
        self._node(name).stop()
        del self._nodes[name]
        for path in (node_path(name), f"{LEASES}/{name}"):
            await self._api.delete(path)
        return web.Response(status=204)

    async def _set_faults(self, name: str, faults: Faults) -> None:
        await self._node(name).set_faults(faults)

    def _faults(self, name: str) -> Faults:
        return self._node(name).plugin.faults

    async def _power(self, request: web.Request) -> web.Response:
        await self._node(request.match_info["node"]).set_power(request.query.get("state", ""))
        return web.Response(status=204)

    async def _containers(self, request: web.Request) -> web.Response:
        return web.json_response(self._node(request.match_info["node"]).containers())

    async def _exit(self, request: web.Request) -> web.Response:
        query = request.query
        node = self._node(request.match_info["node"])
        if await node.end(query.get("pod", ""), query.get("container", ""), int(query.get("code", "0"))):
            return web.Response(status=204)
        return web.Response(status=404, text="no such running container")

    async def watch(self) -> None:
        """Bring the pods to their nodes, for ever."""
        while True:
            try:
                await self._list_and_watch()
            except CALL_ERRORS as error:
                log.warning("watch of pods: %s", error)
                await asyncio.sleep(AGAIN_S)

    async def _list_and_watch(self) -> None:
        listed = await self._api.get("/api/v1/pods", **_BOUND)
        there = {pod["metadata"]["uid"] for pod in listed["items"]}
        for node in self._nodes.values():
            for uid in node.uids - there:
                node.forget(uid)
        for pod in listed["items"]:
            self._see(pod)
        version = listed["metadata"]["resourceVersion"]
        async for kind, pod in self._api.watch("/api/v1/pods", resourceVersion=version, **_BOUND):
            if kind == "DELETED":
                if pod["spec"]["nodeName"] in self._nodes:
                    self._nodes[pod["spec"]["nodeName"]].forget(pod["metadata"]["uid"])
            elif kind != "BOOKMARK":
                self._see(pod)

    def _see(self, pod: Json) -> None:
        node = self._nodes.get(pod["spec"]["nodeName"])
        if node is not None:
            node.see(pod)


async def run(config: SimulatorConfig) -> None:
    """Play the nodes until the process is ended."""
    async with Api(Path(config.kubeconfig)) as api:
        simulator = Simulator(api, Journal(Path(config.journal)))
        await control.serve(simulator.routes(), Path(config.address_file))
        await simulator.watch()


def main() -> None:
    """Entry point: the one argument is the path of the configuration."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run(SimulatorConfig.read(sys.argv[1])))


if __name__ == "__main__":
    main()
