"""A stage whose operators reach the API server through the fault proxy, and what must hold there after every fault."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hami_operator.sandbox import Kind as NodeKind
from hami_operator.sandbox import Node, NodeSpec, Sandbox
from hami_operator.sandbox.api import node_path, pod_path
from hami_operator.sandbox.errors import ApiError
from hami_operator.sandbox.installation import Companion, Installation
from hami_operator.sandbox.processes import marked
from tests.cluster.whole.stage import Json, Stage, namespace, until
from tests.faultproxy import Fault, FaultProxy, Kind

ALLOCATED, TO_ALLOCATE = "hami.io/vgpu-devices-allocated", "hami.io/vgpu-devices-to-allocate"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/hami-system/leases/hami-operator"
NOBODY = {"spec": {"holderIdentity": ""}}
HOST = "kubernetes.io/hostname"
T4_MIB = 15360

#: node -> family -> card -> [shares, MiB, cores]
Holdings = dict[str, dict[str, dict[str, list[int]]]]


DRIVER = os.environ.get("FAULT_DRIVER", "direct")

#: What is the other driver's own affair: who writes the condition, and who leads while one process stands still.
direct_only = pytest.mark.skipif(DRIVER != "direct", reason="kube-scheduler's affair with the driver extender")


def on(node: Node | str) -> dict[str, str]:
    """The node selector for one node."""
    return {HOST: node if isinstance(node, str) else node.name}


def among(*nodes: Node) -> Json:
    """The affinity that allows these nodes and no others."""
    expression = {"key": HOST, "operator": "In", "values": [node.name for node in nodes]}
    terms = [{"matchExpressions": [expression]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


@dataclass(frozen=True)
class FaultStage(Stage):
    """One namespace, and the faults that may be made around it."""

    proxy: FaultProxy

    async def refused(self, name: str, word: str) -> str:
        """Why the pod waits, in our words: with the driver ``extender`` its condition has kube-scheduler's."""
        if self.installation.overlay == "direct":
            return await super().refused(name, word)

        async def ask() -> str | None:
            events = await self.api.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
            notes = [
                event["note"]
                for event in events["items"]
                if (event["regarding"].get("name"), event["reason"]) == (name, "FilteringFailed")
            ]
            return next((note for note in notes if word in note), None)

        found: str = await until(f"pod {name} waits because of {word}", ask)
        return found

    # -- faults ------------------------------------------------------------------------------------------------------

    def at_lock(self, kind: Kind, node: Node, **more: Any) -> Fault:
        """A fault for the next patch of this node, which takes or releases its lock."""
        return self.proxy.fault(kind, "PATCH", rf"^{node_path(node.name)}$", **more)

    def at_binding(self, kind: Kind, pod: str, **more: Any) -> Fault:
        """A fault for the next Binding of this pod."""
        return self.proxy.fault(kind, "POST", rf"^{pod_path(self.namespace, pod)}/binding$", **more)

    def at_fence(self, kind: Kind, pod: str, **more: Any) -> Fault:
        """A fault for the next patch of this pod, which fences it."""
        return self.proxy.fault(kind, "PATCH", rf"^{pod_path(self.namespace, pod)}$", **more)

    def bindings(self, pod: str) -> int:
        """How many Bindings of this pod were sent."""
        return self.proxy.count("POST", rf"^{pod_path(self.namespace, pod)}/binding$")

    def component(self, name: str) -> int:
        """The pid of a component of the control plane."""
        (pid,) = [pid for pid in marked(self.sandbox.folder) if _executable(pid) == name]
        return pid

    # -- the operator ------------------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """End the operator as ``kill -9`` does, and take its lease away: it is dead, nobody need wait three seconds."""
        self.installation.kill(self.operator)
        await self.api.patch(LEASE, NOBODY)

    async def start(self) -> Companion:
        """Start an operator; it leads as soon as the last one's lease is over."""
        return await self.installation.start_operator()

    async def restart(self) -> Companion:
        """End the operator as ``kill -9`` does, and start one."""
        await self.kill()
        return await self.start()

    async def revive(self) -> None:
        """Start an operator where a test has left none that answers."""
        if self.installation.operators:
            with contextlib.suppress(aiohttp.ClientError):
                await self.metric("hami_operator_leading")
                return
            await self.kill()
        await self.start()

    async def leading(self) -> None:
        """Wait until the operator decides."""

        async def ask() -> bool:
            return await self.metric("hami_operator_leading") == 1

        await until("the operator leads", ask)

    async def not_leading(self) -> None:
        """Wait until the operator has lost its lease."""

        async def ask() -> bool:
            return await self.metric("hami_operator_leading") == 0

        await until("the lease is lost", ask)

    async def ledger(self) -> Json:
        """What the operator believes, from ``/debug/ledger``."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.operator.url}/debug/ledger") as response:
            found: Json = await response.json()
            return found

    async def unreserved(self) -> None:
        """Wait until the operator holds no reservation."""

        async def ask() -> bool:
            return not (await self.ledger())["assumed"]

        await until("nothing is reserved", ask)

    # -- pods and nodes ----------------------------------------------------------------------------------------------

    async def nodes(self, *specs: str) -> list[Node]:
        """Add simulated nodes (``t4:2``, ``t4:2x3``); they are taken away at the end of the test."""
        return await self.sandbox.add(*(NodeSpec.parse(spec, NodeKind.SIMULATED) for spec in specs))

    async def gone(self, name: str, uid: str = "") -> None:
        """Wait until the pod (with ``uid``: this one) is gone."""

        async def ask() -> bool:
            pod = await self.pod(name)
            return pod is None or bool(uid and pod["metadata"]["uid"] != uid)

        await until(f"pod {name} is gone", ask)

    async def remove(self, name: str) -> None:
        """Delete the pod and wait until it is gone."""
        await self.delete(name)
        await self.gone(name)

    async def bound(self, name: str, seconds: float = 30.0) -> Json:
        """The pod once it has a node."""

        async def ask() -> Json | None:
            pod = await self.pod(name)
            return pod if pod is not None and pod["spec"].get("nodeName") else None

        return await until(f"pod {name} is bound", ask, seconds)

    async def annotate(self, path: str, annotations: Mapping[str, str | None]) -> None:
        """Write annotations of an object as the administrator (None removes)."""
        await self.api.patch(path, {"metadata": {"annotations": dict(annotations)}})

    async def empty(self) -> None:
        """Delete all pods of the namespace and wait until they are gone."""
        for pod in await self.pods():
            with contextlib.suppress(ApiError):
                await self.delete(pod["metadata"]["name"])

        async def ask() -> bool:
            return not await self.pods()

        await until("all pods are gone", ask)

    # -- what must hold ----------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Nothing is left of any fault.

        Every pod placed or explained, no lock, no card over its limits, no reservation, the operator's ledger equal to
        a recount of the API server's objects and to its own, nothing that crashed, no complaint of a plugin.
        """
        await until("every pod is placed or explained", self._explained)
        await super().settled()
        await self._agreed()
        assert (await self.ledger())["differences"] == []
        for log in (self.sandbox.folder / "logs").glob("*or-*.log"):  # operator, simulator
            assert "Traceback" not in (text := log.read_text(encoding="utf-8", errors="replace")), text[-5000:]

    async def _explained(self) -> bool:
        return all(_placed_or_explained(pod) for pod in await self.pods())

    async def _agreed(self) -> None:
        """The operator's ledger and a recount of what the API server has become the same."""
        seen: list[Any] = []

        async def ask() -> bool:
            believed = await self.ledger()
            counted = recount((await self.api.get("/api/v1/pods"))["items"])
            seen[:] = believed["assumed"], believed["nodes"], counted
            return not believed["assumed"] and believed["nodes"] == counted

        try:
            await until("the ledger is equal to a recount", ask)
        except AssertionError as error:
            raise AssertionError(f"{error}: reserved {seen[0]}, believed {seen[1]}, counted {seen[2]}") from None


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process stands still, as on a machine that swaps."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _executable(pid: int) -> str:
    """The name of a process's program; empty when it is gone."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return Path(command.split(b"\0")[0].decode()).name


def _placed_or_explained(pod: Json) -> bool:
    if pod["spec"].get("nodeName") or pod["spec"].get("schedulerName") != "hami-scheduler":
        return True
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "PodScheduled" and c["status"] == "False" and c["message"] for c in conditions)


def recount(pods: list[Json]) -> Holdings:
    """Who holds what by the wire's text alone: none of the operator's code counts here. For pods of app containers."""
    nodes: Holdings = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        text = (pod["metadata"].get("annotations") or {}).get(ALLOCATED, "")
        if not node or not text or pod["status"]["phase"] in ("Succeeded", "Failed"):
            continue
        for entry in text.replace(";", ":").split(":"):
            if entry:
                uuid, family, memory, cores = entry.split(",")
                held = nodes.setdefault(node, {}).setdefault(family, {}).setdefault(uuid, [0, 0, 0])
                held[:] = [held[0] + 1, held[1] + int(memory), held[2] + int(cores)]
    return nodes


@contextlib.asynccontextmanager
async def fault_stage(
    sandbox: Sandbox, installation: Installation, proxy: FaultProxy, label: str
) -> AsyncIterator[FaultStage]:
    """A fresh namespace; at the end its pods and the nodes that were added are gone."""
    before = {node.name for node in sandbox.nodes}
    try:
        async with namespace(sandbox, installation, label) as stage:
            yield FaultStage(stage.sandbox, stage.installation, stage.api, stage.namespace, proxy)
    finally:
        for node in sandbox.nodes:
            if node.name not in before:
                await sandbox.remove(node.name)
