"""One node's plugin at work: finds its pod, takes its segment, checks it, answers, and writes the outcome.

Used by the plugin process of a hollow node and by the simulated nodes alike.
Source: HAMi v2.7.0 pkg/device-plugin/nvidiadevice/nvinternal/plugin/server.go and pkg/util/util.go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Device
from hami_operator.core.protocol import BIND_PHASE, BIND_TIME, NODE_LOCK, Phase

from . import plugin_protocol as protocol
from .api import JSON_PATCH, Api, node_path, pod_path
from .checker import Checker, Claim
from .errors import AllocateFailed, ApiError
from .faults import Faults
from .journal import Journal
from .plugins import Grant, Habits, Injection, Release

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: Seconds between two registrations, and after one that failed (HAMi v2.7.0 plugin/register.go).
REGISTER_S = 30.0
REGISTER_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class PluginNode:
    """What a plugin knows of its node."""

    name: str
    cards: tuple[Device, ...]
    habits: Habits
    release: Release


@dataclass(slots=True)
class Plugin:
    """The plugin of one node. ``live_pods`` tells the node's pods that still run: uid -> init containers done."""

    node: PluginNode
    api: Api
    journal: Journal
    live_pods: Callable[[], Awaitable[Mapping[str, bool]]]
    faults: Faults = field(default_factory=Faults)
    checker: Checker = field(init=False)
    _registered: str | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.checker = Checker({card.uuid: card for card in self.node.cards})
        for claim in self.journal.claims(self.node.name):
            self.checker.restore(claim)

    @property
    def cards(self) -> tuple[Device, ...]:
        """The node's cards with their health as it is now."""
        return tuple(replace(card, healthy=card.index not in self.faults.unhealthy) for card in self.node.cards)

    async def set_faults(self, faults: Faults) -> None:
        """Take over faults; a change of health is registered at once."""
        changed = faults.unhealthy != self.faults.unhealthy
        self.faults = faults
        if changed:
            await self.register()

    async def register(self) -> None:
        """Write the node's annotations. Raises ApiError or aiohttp.ClientError when the API server does not take it."""
        written = protocol.registration(
            self.node.habits, self.node.release, self.cards, self._registered, now := time.time()
        )
        if written:
            await self.api.patch(node_path(self.node.name), {"metadata": {"annotations": written}})
            self._registered = written[self.node.habits.register_key]
        ill = {card.uuid for card in self.cards if not card.healthy}
        self.checker.ill = {uuid: self.checker.ill.get(uuid, now) for uuid in ill}

    async def keep_registered(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Register for ever: every 30 s, 5 s after a failure; not while ``wanted`` says no."""
        while True:
            try:
                if wanted():
                    await self.register()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("node %s: not registered: %s", self.node.name, error)
                await asyncio.sleep(REGISTER_AGAIN_S)
            else:
                await asyncio.sleep(REGISTER_S)

    async def allocate(self, count: int) -> Injection:
        """Serve one container that the kubelet chose ``count`` device ids for.

        Raises:
            AllocateFailed: no pod waits, the numbers differ, a fault is on, or the checker found an over-allocation.
        """
        async with self._one_at_a_time:
            await asyncio.sleep(self.faults.slow_s)
            try:
                pod = await self._find_pod()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                raise self._refused(f"no pod found: {error}") from error
            try:
                return await self._serve(pod, count)
            except (AllocateFailed, ApiError, aiohttp.ClientError, TimeoutError, ProtocolError) as error:
                await self._give_up(pod)
                name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                raise self._refused(f"pod {name}: {error}") from error

    def _refused(self, text: str) -> AllocateFailed:
        self.journal.failed(self.node.name, text)
        log.warning("node %s: Allocate fails: %s", self.node.name, text)
        return AllocateFailed(text)

    async def _find_pod(self) -> Json:
        holder = protocol.lock_holder(await self.api.get(node_path(self.node.name)))
        if holder is not None:
            return await self.api.get(pod_path(*holder))
        pods = await self.api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={self.node.name}")
        pod = protocol.pending_pod(pods["items"], self.node.name, self.node.release)
        if pod is None:
            raise ApiError(404, f"no binding pod found on node {self.node.name}")
        return pod

    async def _serve(self, pod: Json, count: int) -> Injection:
        if self.faults.failing:
            self.faults = replace(self.faults, failing=max(self.faults.failing - 1, -1))
            raise AllocateFailed("a fault was asked for")
        key, release = self.node.habits.to_allocate_key, self.node.release
        segment = protocol.take_segment(key, protocol.annotations_of(pod).get(key, ""), release)
        if segment is None:
            raise AllocateFailed("device request not found")
        if len(segment.shares) != count:
            raise AllocateFailed(f"device number not matched: {len(segment.shares)} decided, {count} asked for")
        await self._check(pod, segment)
        path = pod_path(pod["metadata"]["namespace"], pod["metadata"]["name"])
        await self.api.patch(path, {"metadata": {"annotations": {key: segment.rest}}})
        container = protocol.container_name(pod, segment.index, release)
        injection = self.node.habits.inject(
            Grant(segment.shares, pod["metadata"]["uid"], container, _plain_env(pod, container))
        )
        await self._finish_if_last(path)
        return injection

    async def _check(self, pod: Json, segment: protocol.Segment) -> None:
        place = protocol.next_place(pod, self.node.habits)
        metadata = pod["metadata"]
        if place is None:
            raise AllocateFailed("the two device lists and the containers of the pod do not belong together")
        claim = Claim(
            pod=f"{metadata['namespace']}/{metadata['name']}",
            uid=metadata["uid"],
            position=place.position,
            container=place.container,
            kind=place.kind,
            shares=segment.shares,
            bound=_number(protocol.annotations_of(pod).get(BIND_TIME)),
        )
        self.checker.keep_only({**await self.live_pods(), metadata["uid"]: protocol.init_done(pod)})
        wrong = self.checker.claim(claim)
        for text in wrong:
            log.error("node %s: VIOLATION: %s", self.node.name, text)
            self.journal.violated(self.node.name, text)
        if wrong:
            raise AllocateFailed("; ".join(wrong))
        self.journal.allocated(self.node.name, claim)

    async def _finish_if_last(self, path: str) -> None:
        pod = await self.api.get(path)
        left = protocol.annotations_of(pod).get(self.node.habits.to_allocate_key, "")
        if not protocol.more_follow(left, self.node.release):
            await self._end(pod, Phase.SUCCESS)

    async def _give_up(self, pod: Json) -> None:
        try:
            await self._end(pod, Phase.FAILED)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("node %s: phase and lock stay as they are: %s", self.node.name, error)

    async def _end(self, pod: Json, phase: Phase) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        await self.api.patch(pod_path(namespace, name), {"metadata": {"annotations": {BIND_PHASE: phase.value}}})
        node = await self.api.get(node_path(self.node.name))
        if protocol.lock_holder(node) == (namespace, name):
            path = "/metadata/annotations/" + NODE_LOCK.replace("/", "~1")
            text = protocol.annotations_of(node)[NODE_LOCK]
            operations: list[Json] = [
                {"op": "test", "path": path, "value": text},
                {"op": "remove", "path": path},
            ]
            await self.api.patch(node_path(self.node.name), operations, JSON_PATCH)


def _plain_env(pod: Json, container: str) -> dict[str, str]:
    for spec in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
        if spec["name"] == container:
            return {entry["name"]: entry.get("value", "") for entry in spec.get("env", ())}
    return {}


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
