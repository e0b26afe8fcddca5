"""A client, a fault proxy, and objects of one's own on the real API server."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from hami_operator.core.model import Node, PodKey
from hami_operator.core.objects import read_node
from hami_operator.core.protocol import NODE_LOCK
from hami_operator.kube import paths
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client, Timeouts
from hami_operator.sandbox.api import Api, node_path, pod_path
from hami_operator.sandbox.errors import ApiError
from tests.faultproxy import FaultProxy

QUICK = Timeouts(connect=2.0, answer=5.0, watch=30, silence=20.0)

TTL = {"node.alpha.kubernetes.io/ttl": "0"}

_numbers = itertools.count(time.time_ns())


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, limit_s: float = 20.0) -> None:
    """Poll a condition that nothing announces, with a deadline."""
    deadline = time.monotonic() + limit_s
    while True:
        met = condition()
        if (await met) if isinstance(met, Awaitable) else met:
            return
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        await asyncio.sleep(0.01)


class World:
    """What a test has made on the API server; removed at its end."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._made: list[str] = []

    async def node(self, annotations: dict[str, str] | None = None, name: str = "") -> str:
        """A new node, by name. Without ``annotations`` it has the one that the ttl controller writes to each node.

        That controller's write would else race with the first lock of a node that has no annotations at all.
        """
        name = name or f"node-{next(_numbers):x}"
        metadata: dict[str, Any] = {"name": name, "annotations": TTL if annotations is None else annotations}
        await self.api.post(paths.NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        self._made.append(node_path(name))
        return name

    async def plain(self, annotations: dict[str, str]) -> str:
        """A new object that no controller writes to: its path."""
        name = f"plain-{next(_numbers):x}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations}}
        await self.api.post(f"{paths.NAMESPACES}/default/configmaps", body)
        self._made.append(f"{paths.NAMESPACES}/default/configmaps/{name}")
        return self._made[-1]

    async def pod(self, name: str = "", scheduler: str = "hami-scheduler", **metadata: Any) -> PodKey:
        """A new pod."""
        name = name or f"pod-{next(_numbers):x}"
        spec = {
            "schedulerName": scheduler,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "example.org/c"}],
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}
        made = (await self._create(f"{paths.NAMESPACES}/default/pods", body))["metadata"]
        self._made.append(pod_path("default", name))
        return PodKey("default", name, made["uid"])

    async def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create; a new cluster's default ServiceAccount may not be there yet."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return await self.api.post(path, body)
            except ApiError as error:
                if "serviceaccount" not in str(error) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def read(self, pod: PodKey) -> dict[str, Any]:
        """The pod as it is now."""
        return await self.api.get(paths.pod(pod.namespace, pod.name))

    async def read_node(self, name: str) -> Node:
        """The node as it is now."""
        return read_node(await self.api.get(paths.node(name)))

    async def lock(self, node: str) -> str | None:
        """The node's lock as it is now."""
        return (await self.read_node(node)).annotations.get(NODE_LOCK)

    async def annotate(self, path: str, annotations: dict[str, str | None]) -> None:
        """Write annotations (None removes)."""
        await self.api.patch(path, {"metadata": {"annotations": annotations}})

    async def bind(self, pod: PodKey, node: str, **metadata: Any) -> None:
        """Bind the pod as another scheduler would."""
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod.name, **metadata}}
        await self.api.post(paths.pod(pod.namespace, pod.name) + "/binding", {**body, "target": {"name": node}})

    async def set_phase(self, pod: PodKey, phase: str) -> None:
        """Set the pod's phase as a kubelet would."""
        await self.api.patch(paths.pod(pod.namespace, pod.name) + "/status", {"status": {"phase": phase}})

    async def delete_pod(self, pod: PodKey) -> None:
        """Delete the pod at once."""
        await self.api.delete(pod_path(pod.namespace, pod.name))

    async def delete_node(self, name: str) -> None:
        """Delete the node."""
        await self.api.delete(node_path(name))

    async def clean(self) -> None:
        """Remove what was made."""
        for path in self._made:
            try:
                await self.api.delete(path)
            except ApiError as error:
                if error.status != 404:
                    raise


@pytest_asyncio.fixture
async def world(kubeconfig: Path) -> AsyncIterator[World]:
    async with Api(kubeconfig) as api:
        world = World(api)
        yield world
        await world.clean()


@pytest_asyncio.fixture
async def client(kubeconfig: Path) -> AsyncIterator[Client]:
    """Straight to the API server."""
    async with Client(await load_access(str(kubeconfig)), QUICK) as client:
        yield client


@pytest_asyncio.fixture
async def proxy(kubeconfig: Path) -> AsyncIterator[FaultProxy]:
    access = await load_access(str(kubeconfig))
    assert access.tls is not None
    async with FaultProxy(access.server, access.tls).serve() as proxy:
        yield proxy


@pytest.fixture
def proxied_kubeconfig(kubeconfig: Path, proxy: FaultProxy, tmp_path: Path) -> Path:
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": proxy.url}
    path = tmp_path / "proxied"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest_asyncio.fixture
async def proxied(proxied_kubeconfig: Path) -> AsyncIterator[Client]:
    """Through the fault proxy."""
    async with Client(await load_access(str(proxied_kubeconfig)), QUICK) as client:
        yield client
