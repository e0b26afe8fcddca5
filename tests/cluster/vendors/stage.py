"""Every family's node, and what became of an example in a form that can be compared."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from hami_operator.sandbox import Kind, NodeSpec, Sandbox
from hami_operator.sandbox.api import Api, node_path, pod_path
from hami_operator.sandbox.installation import Installation

Json = dict[str, Any]

NODES = (
    *(
        NodeSpec(type_, cards=cards, kind=Kind.SIMULATED)
        for type_, cards in (
            ("a100-40", 2),
            ("a100-40-mig", 2),
            ("a100-80", 8),
            ("a30", 2),
            ("t4", 2),
            ("a30-volcano", 2),
            ("a30-volcano-mig", 1),
            ("mlu370", 2),
            ("k100-ai", 2),
            ("mr-v100", 2),
            ("mr-v100-chip", 2),
            ("s60", 2),
            ("s60-shared", 2),
            ("s60-drs", 2),
            ("s4000", 2),
            ("metax-c500", 8),
            ("metax-c500-sgpu", 8),
            ("kunlun-p800", 8),
            ("kunlun-p800-vxpu", 8),
            ("trn1", 16),
            ("inf2", 12),
            ("mi300x", 2),
            ("mi210", 2),
            ("br104", 2),
            ("va1-die", 4),
            ("ascend910a", 2),
            ("ascend910b2", 2),
            ("ascend910b3", 8),
            ("ascend910b3-soft", 2),
            ("ascend910b4", 2),
            ("ascend910b4-1", 2),
            ("ascend910c", 4),
            ("ascend310p", 2),
        )
    ),
    NodeSpec("h100-mig", cards=1, kind=Kind.SIMULATED, release="2.10"),
)

#: Times that plugins read, and what is our own and of no interest here.
_TIMES = re.compile(r"(time|TIME)$")
#: A folder that the NVIDIA plugin names after the pod; nodes that have nothing to do with the example, and how many.
_CACHE = re.compile(r"[0-9a-f-]{36}(?=\.cache)")
_OTHERS = re.compile(r"\d+(?= nodes)|(?<=\()[^()]*and \d+ more(?=\))")
_SICK_CARDS = re.compile(r'hami_operator_cards\{.*health="unhealthy"')
_LOCKS = re.compile(r"hami_operator_node_locks ")
_LEFT_OUT = ("hami-operator.io/epoch", "kubectl.kubernetes.io/last-applied-configuration")


@dataclass(frozen=True)
class Stage:
    """The installed sandbox; examples go to the namespace ``default``, as users apply them."""

    sandbox: Sandbox
    installation: Installation
    api: Api

    async def create(self, obj: Json) -> Json:
        """Create an object. Raises ApiError when it is refused."""
        return await self.api.post(_collection(obj), obj)

    async def pods_of(self, workload: Json) -> list[Json]:
        """The pods of a Deployment, all of them created."""
        labels = workload["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())

        async def ask() -> list[Json]:
            found = (await self.api.get("/api/v1/namespaces/default/pods", labelSelector=selector))["items"]
            return found if len(found) == workload["spec"]["replicas"] else []

        return list(await until(f"all pods of {workload['metadata']['name']} are there", ask))

    async def settled(self, name: str) -> Json:
        """The pod once it runs, has failed, or is told why it waits."""

        async def ask() -> Json | None:
            pod = await self.api.get(pod_path("default", name))
            return pod if pod["status"]["phase"] != "Pending" or why_not(pod) else None

        return await until(f"pod {name} runs or is told why not", ask)

    async def running(self, name: str) -> Json:
        """The pod once it runs; what has failed fails the test at once."""

        async def ask() -> Json | None:
            pod = await self.api.get(pod_path("default", name))
            assert pod["status"]["phase"] != "Failed", (name, pod["status"])
            return pod if pod["status"]["phase"] == "Running" else None

        return await until(f"pod {name} runs", ask)

    async def environments(self, pod: Json) -> dict[str, Json]:
        """What each container of a running pod was given."""
        found = await self.sandbox.node(pod["spec"]["nodeName"]).containers()
        return {
            c["Name"]: {e["key"]: _CACHE.sub("<uid>", e["value"]) for e in c["Config"]["envs"]}
            for c in found
            if c["PodUID"] == pod["metadata"]["uid"]
        }

    async def delete(self, obj: Json) -> None:
        """Delete an object that was created."""
        await self.api.delete(f"{_collection(obj)}/{obj['metadata']['name']}")

    async def empty(self) -> None:
        """Wait until no pod is left, and the operator knows it: the next example begins as the first one did."""

        async def gone() -> bool:
            return not (await self.api.get("/api/v1/namespaces/default/pods"))["items"]

        async def forgotten() -> bool:
            url = f"{self.installation.operators[-1].url}/debug/ledger"
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return not (await response.json())["nodes"]

        async def unlocked() -> bool:
            return not await self._sum(_LOCKS)

        await until("all pods are gone", gone)
        await until("the operator holds nothing", forgotten)
        await until("no node is locked", unlocked)

    async def mend(self, node: str) -> None:
        """The node's plugin registers anew, so that the operator uses it again at once after a failure."""
        handle = self.sandbox.node(node)

        async def unlocked() -> bool:
            found = await self.api.get(node_path(node))
            return handle.type.habits.lock_key not in found["metadata"]["annotations"]

        await until(f"the lock of {node} is released", unlocked)
        await handle.card_unhealthy(0)

        async def ill() -> float:
            return await self._sum(_SICK_CARDS)

        await until("the operator knows of the sick card", ill)
        await handle.well()

        async def all_well() -> bool:
            return not await ill()

        await until("the operator knows that it is well", all_well)

    async def _sum(self, series: re.Pattern[str]) -> float:
        """The sum of some of the operator's series."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.installation.operators[-1].url}/metrics") as response,
        ):
            lines = (await response.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if series.match(line))


def _collection(obj: Json) -> str:
    group = "/api/v1" if obj["apiVersion"] == "v1" else f"/apis/{obj['apiVersion']}"
    return f"{group}/namespaces/default/{obj['kind'].lower()}s"


async def until(what: str, ask: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """The first true answer; polled, with a deadline that names what did not come true."""
    deadline = time.monotonic() + seconds
    while not (answer := await ask()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.03)
    return answer


def why_not(pod: Json) -> str:
    """Why the pod waits, in the words of its condition; empty while nothing is decided."""
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _OTHERS.sub("<other>", condition["message"])
    return ""


def masked(annotations: dict[str, str]) -> dict[str, str]:
    """Annotations with times taken out."""
    return {
        key: "<time>" if _TIMES.search(key) else text
        for key, text in sorted(annotations.items())
        if key not in _LEFT_OUT
    }
