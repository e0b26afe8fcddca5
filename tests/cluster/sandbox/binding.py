"""Pods bound by hand, as a scheduler of HAMi 2.7 does it: lock, then a Binding with the allocation."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.model import Share
from hami_operator.core.protocol import (
    BIND_PHASE,
    BIND_TIME,
    NODE_LOCK,
    POD_NODE,
    Phase,
    encode_shares,
    format_lock,
)
from hami_operator.sandbox import Node
from hami_operator.sandbox.api import Api, node_path, pod_path
from hami_operator.sandbox.errors import ApiError
from hami_operator.sandbox.podview import annotations_of

Json = dict[str, Any]

_numbers = itertools.count()

#: Seconds for the kubelet to come to a result; it usually takes half of one.
RESULT_S = 30.0


async def until(condition: Callable[[Json], bool], read: Callable[[], Any], what: str) -> Json:
    """Read until the condition holds for what was read."""
    deadline = time.monotonic() + RESULT_S
    while True:
        found: Json = await read()
        if condition(found):
            return found
        assert time.monotonic() < deadline, f"{what}: not within {RESULT_S:.0f} s; last seen: {found}"
        await asyncio.sleep(0.05)


@dataclass
class Hand:
    """Binds pods by hand."""

    api: Api
    node: Node
    made: list[str] = field(default_factory=list)

    def share(self, card: int = 0, memory: int = 1000, cores: int = 10) -> Share:
        """A share of a card of the node, by index."""
        return Share(self.node.cards[card].uuid, "NVIDIA", memory, cores)

    async def create(self, positions: Sequence[Sequence[Share]], **metadata: Any) -> str:
        """A pod with one container per position, each asking for as many cards as it will get."""
        name = f"p{next(_numbers)}"
        limits = [{self.node.type.habits.resource: str(len(shares))} if shares else {} for shares in positions]
        spec = {
            "schedulerName": "by-hand",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {"name": f"c{i}", "image": "example.org/x", "resources": {"limits": limit}}
                for i, limit in enumerate(limits)
            ],
        }
        await self.api.post("/api/v1/namespaces/default/pods", {"metadata": {"name": name, **metadata}, "spec": spec})
        self.made.append(name)
        return name

    async def bind(self, name: str, positions: Sequence[Sequence[Share]], *, bound: float | None = None) -> None:
        """Take the lock and bind the pod with this allocation."""
        now = time.time()
        lock = {"metadata": {"annotations": {NODE_LOCK: format_lock(now, "default", name)}}}
        await self.api.patch(node_path(self.node.name), lock)
        text = encode_shares(positions)
        habits = self.node.type.habits
        annotations = {
            POD_NODE: self.node.name,
            BIND_PHASE: Phase.ALLOCATING.value,
            BIND_TIME: str(int(bound or now)),
            habits.to_allocate_key: text,
            habits.allocated_key: text,
        }
        binding = {"metadata": {"name": name, "annotations": annotations}, "target": {"name": self.node.name}}
        await self.api.post(pod_path("default", name) + "/binding", binding)

    async def run(self, positions: Sequence[Sequence[Share]], **metadata: Any) -> Json:
        """Create and bind a pod; the pod once it runs or failed."""
        name = await self.create(positions, **metadata)
        await self.bind(name, positions)
        return await self.result(name)

    async def result(self, name: str) -> Json:
        """The pod once its phase is not Pending any more."""
        return await self.pod_when(name, lambda pod: pod["status"]["phase"] != "Pending", "the kubelet decides")

    async def pod_when(self, name: str, condition: Callable[[Json], bool], what: str) -> Json:
        """The pod once the condition holds."""
        return await until(condition, lambda: self.api.get(pod_path("default", name)), f"pod {name}: {what}")

    async def node_when(self, condition: Callable[[Json], bool], what: str) -> Json:
        """The node once the condition holds."""
        return await until(condition, lambda: self.api.get(node_path(self.node.name)), f"{self.node.name}: {what}")

    async def allocatable(self, count: int) -> Json:
        """The node once it reports so many device ids."""
        resource = self.node.type.habits.resource
        return await self.node_when(
            lambda node: int(node["status"]["allocatable"].get(resource, 0)) == count, f"{count} device ids"
        )

    async def lock(self) -> str | None:
        """The node lock's text."""
        return annotations_of(await self.api.get(node_path(self.node.name))).get(NODE_LOCK)

    async def gone(self, name: str) -> None:
        """Wait until the pod is gone."""

        async def read() -> Json:
            try:
                return await self.api.get(pod_path("default", name))
            except ApiError as error:
                if error.status == 404:
                    return {}
                raise

        await until(lambda found: not found, read, f"pod {name} is gone")

    async def clean(self) -> None:
        """Delete all pods made here and wait until they are gone."""
        for name in self.made:
            try:
                await self.api.delete(pod_path("default", name))
            except ApiError as error:
                if error.status != 404:
                    raise
        for name in self.made:
            await self.gone(name)
