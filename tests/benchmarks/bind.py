"""Pods bound a second, end to end, against a loop that only posts Bindings; and how many writes a bound pod costs.

Both arms run on one sandbox with simulated nodes whose plugins are at work. Pods exist before the clock starts: the
operator is stopped while they are made, so its arm begins with the events that reach it then.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp

from hami_operator.core import protocol
from hami_operator.core.model import Share
from hami_operator.sandbox import Kind, NodeSpec, Sandbox, Settings
from hami_operator.sandbox.api import Api, pod_path
from hami_operator.sandbox.installation import Companion, Installation

from .harness import Bench, Row, alternate_async

NODES, PODS, ROUNDS, CONNECTIONS = 200, 200, 5, 16
NAMESPACE = "default"

#: The operator sleeps while pods are made; with the sandbox's lease of seconds it would wake up as no leader.
_LONG_LEASE = {"HAMI_LEADER__LEASE_SECONDS": "60", "HAMI_LEADER__RENEW_DEADLINE_SECONDS": "40"}

_numbers = itertools.count(1)


def pod_object(name: str, scheduler: str) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "1000", "nvidia.com/gpucores": "5"}
    labels, annotations = {"hami.io/webhook": "ignore"}, {protocol.NODE_POLICY: "spread"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "schedulerName": scheduler,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "i", "resources": {"limits": limits}}],
        },
    }


class Arms:
    """Both arms on one sandbox; a run makes its pods, measures, and takes them away."""

    def __init__(self, sandbox: Sandbox, installation: Installation, api: Api) -> None:
        self._sandbox = sandbox
        self._operator: Companion = installation.operators[0]
        self._api = api

    async def operator(self) -> float:
        """Pods a second, from the operator's waking to the last Binding."""
        os.kill(self._operator.pid, signal.SIGSTOP)
        try:
            names = await self._make("hami-scheduler")
        finally:
            os.kill(self._operator.pid, signal.SIGCONT)
        begin = time.perf_counter()
        await self._all(names, lambda pod: pod["spec"].get("nodeName"))
        rate = len(names) / (time.perf_counter() - begin)
        await self._clear(names)
        return rate

    async def bind_only(self) -> float:
        """Pods a second of a loop that knows beforehand where each pod goes."""
        names = await self._make("nobody")
        targets = [node for node in self._sandbox.nodes for _ in range(-(-PODS // NODES))]
        room = asyncio.Semaphore(CONNECTIONS)

        async def bind(name: str, index: int) -> None:
            node = targets[index]
            async with room:
                await self._api.post(f"{pod_path(NAMESPACE, name)}/binding", self._binding(name, node))

        begin = time.perf_counter()
        await asyncio.gather(*(bind(name, index) for index, name in enumerate(names)))
        rate = len(names) / (time.perf_counter() - begin)
        await self._clear(names)
        return rate

    def _binding(self, name: str, node: Any) -> dict[str, Any]:
        share = Share(node.cards[0].uuid, "NVIDIA", 1000, 5)
        text, now = protocol.encode_shares([[share]]), str(int(time.time()))
        annotations = {
            protocol.POD_NODE: node.name,
            protocol.POD_TIME: now,
            protocol.BIND_PHASE: "allocating",
            protocol.BIND_TIME: now,
            "hami.io/vgpu-devices-to-allocate": text,
            "hami.io/vgpu-devices-allocated": text,
        }
        target = {"apiVersion": "v1", "kind": "Node", "name": node.name}
        metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
        return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}

    async def writes(self) -> float:
        """Writes of the operator so far, events, conditions and leases aside."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._operator.url}/metrics") as response:
            text = await response.text()
        pattern = r'hami_operator_api_requests_total\{method="(POST|PUT|PATCH)",resource="([^"]+)"[^}]*\} (\S+)'
        aside = ("events", "pods/status", "leases")
        return sum(float(count) for _, resource, count in re.findall(pattern, text) if resource not in aside)

    async def _make(self, scheduler: str) -> list[str]:
        names = [f"bench-{next(_numbers)}" for _ in range(PODS)]
        room = asyncio.Semaphore(CONNECTIONS)

        async def make(name: str) -> None:
            async with room:
                await self._api.post(f"/api/v1/namespaces/{NAMESPACE}/pods", pod_object(name, scheduler))

        await asyncio.gather(*(make(name) for name in names))
        return names

    async def _all(self, names: list[str], so: Callable[[dict[str, Any]], object]) -> None:
        """Wait until all these pods are so."""
        waited = set(names)
        listed = await self._api.get(f"/api/v1/namespaces/{NAMESPACE}/pods")
        version = listed["metadata"]["resourceVersion"]
        waited -= {pod["metadata"]["name"] for pod in listed["items"] if so(pod)}
        if not waited:
            return
        async for _, pod in self._api.watch(f"/api/v1/namespaces/{NAMESPACE}/pods", resourceVersion=version):
            if "spec" in pod and so(pod):
                waited.discard(pod["metadata"]["name"])
            if not waited:
                return

    async def _clear(self, names: list[str]) -> None:
        """Take the pods away once they run: what is broken off in the middle would be work of the next arm."""
        await self._all(names, lambda pod: pod["status"].get("phase") == "Running")
        while pods := (await self._api.get(f"/api/v1/namespaces/{NAMESPACE}/pods"))["items"]:
            await asyncio.gather(*(self._api.delete(pod_path(NAMESPACE, pod["metadata"]["name"])) for pod in pods))


async def _measure() -> tuple[dict[str, float], float]:
    nodes = NodeSpec("a100-80", cards=8, count=NODES, kind=Kind.SIMULATED)
    async with await Sandbox.start([nodes], Settings(name="bench")) as sandbox:
        installation = await Installation.install(sandbox, lease=_LONG_LEASE)
        async with sandbox.api() as api:
            arms = Arms(sandbox, installation, api)
            before = await arms.writes()
            rates = await alternate_async({"operator": arms.operator, "bind-only": arms.bind_only}, ROUNDS)
            writes = (await arms.writes() - before) / (PODS * ROUNDS)
    return rates, writes


def run() -> Iterator[Row]:
    rates, writes = asyncio.run(_measure())
    what = "pods bound a second over a bind-only loop, 200 simulated nodes (arms: pods a second)"
    ratio = rates["operator"] / rates["bind-only"]
    yield Row("bind-kopf", what, ratio, rates, ROUNDS, 0.3, 0.6, more_is_better=True)
    what = "API writes of the operator per bound pod, events and conditions aside (a count)"
    yield Row("writes", what, writes, {"writes": writes}, ROUNDS, 2, 1)


BENCH = Bench("bind", run)
