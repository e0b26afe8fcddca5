"""A sandbox with operator and webhook in it, and short words for what tests do there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from hami_operator.config import Settings
from hami_operator.core import protocol
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.objects import read_node, read_pod
from hami_operator.sandbox import Sandbox
from hami_operator.sandbox.api import Api, pod_path
from hami_operator.sandbox.errors import ApiError
from hami_operator.sandbox.installation import Companion, Installation

Json = dict[str, Any]

GPU, MEMORY, PERCENT, CORES = (
    "nvidia.com/gpu",
    "nvidia.com/gpumem",
    "nvidia.com/gpumem-percentage",
    "nvidia.com/gpucores",
)

_numbers = itertools.count(1)


async def until(what: str, ask: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> Any:
    """The first true answer; polled, with a deadline that names what did not come true."""
    deadline = time.monotonic() + seconds
    while not (answer := await ask()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)
    return answer


def container(name: str = "main", /, **limits: object) -> Json:
    """A container with these limits; keywords are ``gpu``, ``mem``, ``percent``, ``cores`` or full names."""
    names = {"gpu": GPU, "mem": MEMORY, "percent": PERCENT, "cores": CORES}
    return {
        "name": name,
        "image": "example.org/image",
        "resources": {"limits": {names.get(key, key): str(value) for key, value in limits.items()}},
    }


@dataclass(frozen=True)
class Stage:
    """One namespace of the installed sandbox."""

    sandbox: Sandbox
    installation: Installation
    api: Api
    namespace: str

    async def create(
        self, name: str, *containers: Json, metadata: Mapping[str, Any] | None = None, **spec: Any
    ) -> Json:
        """Create a pod; what the API server made of it. Raises ApiError when it is refused."""
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, **(metadata or {})},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": list(containers) or [container(gpu=1, mem=1000)],
                **spec,
            },
        }
        return await self.api.post(f"/api/v1/namespaces/{self.namespace}/pods", body)

    async def pod(self, name: str) -> Json | None:
        with contextlib.suppress(ApiError):
            return await self.api.get(pod_path(self.namespace, name))
        return None

    async def pods(self) -> list[Json]:
        return (await self.api.get(f"/api/v1/namespaces/{self.namespace}/pods"))["items"]

    async def phase(self, name: str, phase: str, seconds: float = 30.0) -> Json:
        """The pod once it is in this phase."""

        async def ask() -> Json | None:
            pod = await self.pod(name)
            return pod if pod is not None and pod["status"]["phase"] == phase else None

        return await until(f"pod {name} is {phase}", ask, seconds)

    async def running(self, name: str, seconds: float = 30.0) -> Json:
        return await self.phase(name, "Running", seconds)

    async def refused(self, name: str, word: str) -> str:
        """The message of the pod's condition PodScheduled=False once it holds ``word``."""

        async def ask() -> str | None:
            for condition in ((await self.pod(name)) or {}).get("status", {}).get("conditions", ()):
                if condition["type"] == "PodScheduled" and condition["status"] == "False":
                    return condition["message"] if word in condition["message"] else None
            return None

        return await until(f"pod {name} waits because of {word}", ask)

    async def event(self, name: str, reason: str) -> Json:
        """The first event of this reason about the pod."""

        async def ask() -> Json | None:
            events = await self.api.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
            found = (e for e in events["items"] if e["regarding"].get("name") == name and e["reason"] == reason)
            return next(found, None)

        return await until(f"event {reason} about {name}", ask)

    async def delete(self, name: str) -> None:
        await self.api.delete(pod_path(self.namespace, name))

    async def lock(self, node: str) -> str | None:
        annotations = (await self.api.get(f"/api/v1/nodes/{node}"))["metadata"]["annotations"]
        return annotations.get(protocol.NODE_LOCK)

    async def unlocked(self, node: str) -> None:
        async def ask() -> bool:
            return await self.lock(node) is None

        await until(f"node {node} has no lock", ask)

    @property
    def operator(self) -> Companion:
        return self.installation.operators[-1]

    async def metric(self, name: str) -> float:
        """The sum of a metric's series, from the operator's /metrics."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.operator.url}/metrics") as response:
            text = await response.text()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line))

    async def settled(self) -> None:
        """No pod pending unexplained, no lock, no card over its limits, and no complaint of the plugins' checkers."""
        nodes = await self.api.get("/api/v1/nodes")
        pods = await self.api.get("/api/v1/pods")
        for node in nodes["items"]:
            await self.unlocked(node["metadata"]["name"])
        check_capacity(nodes["items"], pods["items"])
        assert self.sandbox.verdict().ok, str(self.sandbox.verdict())


def check_capacity(nodes: list[Json], pods: list[Json]) -> None:
    """A recount from API objects alone: no card holds more than it has."""
    profiles = Settings().devices.profiles()
    inventory, ledger = Inventory(profiles), Ledger(profiles)
    for node in nodes:
        inventory.update(read_node(node))
    for pod in pods:
        ledger.observe(read_pod(pod), 0.0)
    for entry in inventory:
        used = ledger.usage(entry.node.name).cards
        for family, devices in entry.devices.items():
            for device in devices:
                held = used.get(family, {}).get(device.uuid)
                if held is not None:
                    limits = (device.slots, device.memory_mib, device.cores)
                    assert all(a <= b for a, b in zip(held, limits, strict=True)), (entry.node.name, device.uuid, held)


def label_of(test: str) -> str:
    """A name for the namespace of a test."""
    return re.sub("[^a-z0-9]+", "-", test.lower().removeprefix("test_"))[:40].rstrip("-")


@contextlib.asynccontextmanager
async def namespace(sandbox: Sandbox, installation: Installation, label: str) -> AsyncIterator[Stage]:
    """A fresh namespace; at the end all its pods are gone."""
    name = f"{label}-{next(_numbers)}"
    async with sandbox.api() as api:
        await api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        stage = Stage(sandbox, installation, api, name)

        async def account() -> bool:
            with contextlib.suppress(ApiError):
                return bool(await api.get(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
            return False

        await until("the namespace has its default account", account)
        try:
            yield stage
        finally:
            for pod in await stage.pods():
                with contextlib.suppress(ApiError):
                    await stage.delete(pod["metadata"]["name"])

            async def empty() -> bool:
                return not await stage.pods()

            await until("all pods are gone", empty)
