"""One node's plugin at work: finds its pod, asks its habits for an answer, checks it, and writes the outcome.

Used by the plugin process of a hollow node and by the simulated nodes alike.
Source: HAMi v2.7.0 pkg/device-plugin/nvidiadevice/nvinternal/plugin/server.go and pkg/util/util.go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Device
from hami_operator.core.protocol import BIND_TIME, Phase

from . import plugin_protocol as protocol
from .api import CALL_ERRORS, JSON_PATCH, Api, node_path, pod_path
from .checker import Checker, Claim
from .errors import AllocateFailed, ApiError
from .faults import Faults
from .journal import Journal
from .plugins import Answer, Call, Desk, Finds, Habits, Injection, Release, Tenancy
from .podview import annotations_of, init_done

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
    _published: dict[str, str] = field(default_factory=dict)
    _served: dict[str, frozenset[tuple[int, str]]] = field(default_factory=dict)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.checker = Checker(self.node.habits.checked(self.node.cards), units=self.node.habits.units)
        for claim in self.journal.claims(self.node.name):
            self.checker.restore(claim)

    @property
    def cards(self) -> tuple[Device, ...]:
        """The node's cards with their health as it is now."""
        return tuple(replace(card, healthy=card.index not in self.faults.unhealthy) for card in self.node.cards)

    @property
    def amounts(self) -> dict[str, int]:
        """The device ids that the kubelet can give out, by resource: those of healthy cards."""
        habits = self.node.habits
        return habits.amounts(habits, [card for card in self.cards if card.healthy])

    @property
    def _desk(self) -> Desk:
        held: defaultdict[str, list[Tenancy]] = defaultdict(list)
        for uid, holding in self.checker.holdings.items():
            for claim in holding.claims.values():
                for share in claim.shares:
                    held[share.card].append(Tenancy(uid, share, claim.note))
        return Desk(self.node.name, self.node.habits, self.node.release, self.cards, held, self._served)

    async def set_faults(self, faults: Faults) -> None:
        """Take over faults; a change of health is registered at once."""
        changed = faults.unhealthy != self.faults.unhealthy
        self.faults = faults
        if changed:
            await self.register()

    async def register(self) -> None:
        """Write the node's annotations. Raises one of CALL_ERRORS when the API server does not take it."""
        now = time.time()
        written = protocol.registration(self._desk, self._published, now)
        if written:
            await self.api.patch(node_path(self.node.name), {"metadata": {"annotations": written}})
            self._published.update(written)
        ill = self.node.habits.checked([card for card in self.cards if not card.healthy])
        self.checker.ill = {uuid: self.checker.ill.get(uuid, now) for uuid in ill}

    async def refresh(self) -> None:
        """Forget pods that are gone, and register what the node has now. Raises as ``register`` does."""
        await self._keep_books()
        await self.register()

    async def keep_registered(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Register for ever: every 30 s, 5 s after a failure; not while ``wanted`` says no."""
        while True:
            try:
                if wanted():
                    await self.refresh()
            except CALL_ERRORS as error:
                log.warning("node %s: not registered: %s", self.node.name, error)
                await asyncio.sleep(REGISTER_AGAIN_S)
            else:
                await asyncio.sleep(REGISTER_S)

    # -- serving -------------------------------------------------------------------------------------------------

    async def allocate(self, call: Call) -> Injection:
        """Serve one container that the kubelet chose device ids for.

        Raises:
            AllocateFailed: no pod waits, the numbers differ, a fault is on, or the checker found an over-allocation.
        """
        if call.resource in self.node.habits.only_counted:
            return Injection()
        async with self._one_at_a_time:
            await asyncio.sleep(self.faults.slow_s)
            try:
                await self._keep_books()
                pods = await self._candidates()
            except (AllocateFailed, *CALL_ERRORS) as error:
                raise self._refused(f"no pod found: {error}") from error
            for pod in pods:
                try:
                    injection = await self._serve(pod, call)
                except (AllocateFailed, ProtocolError, *CALL_ERRORS) as error:
                    if self.node.habits.phase_key:
                        await self._give_up(pod)
                    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                    raise self._refused(f"pod {name}: {error}") from error
                if injection is not None:
                    return injection
            raise self._refused(f"no pod found that waits for {call.count} of {call.resource}")

    def _refused(self, text: str) -> AllocateFailed:
        self.journal.failed(self.node.name, text)
        log.warning("node %s: Allocate fails: %s", self.node.name, text)
        return AllocateFailed(text)

    async def _keep_books(self) -> None:
        """Forget what pods hold that live no more."""
        live = await self.live_pods()
        self.checker.keep_only(live)
        self._served = {uid: calls for uid, calls in self._served.items() if uid in live}

    async def _candidates(self) -> list[Json]:
        """The pods that a call may be for, in the order in which the plugin asks."""
        habits = self.node.habits
        if habits.finds is not Finds.SCAN:
            holder = protocol.lock_holder(await self.api.get(node_path(self.node.name)))
            if holder is not None:
                return [await self.api.get(pod_path(*holder))]
        if habits.finds is Finds.LOCK:
            raise ApiError(404, f"node {self.node.name} has no lock that names a pod")
        pods = await self.api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={self.node.name}")
        desk = self._desk
        found = sorted((pod for pod in pods["items"] if habits.waits(desk, pod)), key=habits.since)
        if not found:
            raise ApiError(404, f"no binding pod found on node {self.node.name}")
        return found

    async def _serve(self, pod: Json, call: Call) -> Injection | None:
        if self.faults.failing:
            self.faults = replace(self.faults, failing=max(self.faults.failing - 1, -1))
            raise AllocateFailed("a fault was asked for")
        answer = self.node.habits.serve(self._desk, pod, call)
        if answer is None:
            return None
        uid = pod["metadata"]["uid"]
        if answer.shares:
            self._check(pod, answer)
        if answer.writes:
            path = pod_path(pod["metadata"]["namespace"], pod["metadata"]["name"])
            await self.api.patch(path, {"metadata": {"annotations": dict(answer.writes)}})
        self._served[uid] = self._served.get(uid, frozenset()) | {(answer.place.position, call.resource)}
        if answer.last:
            await self._end(pod, Phase.SUCCESS)
        if self.node.habits.publish_after:
            await self.register()
        return answer.injection

    def _check(self, pod: Json, answer: Answer) -> None:
        metadata = pod["metadata"]
        claim = Claim(
            pod=f"{metadata['namespace']}/{metadata['name']}",
            uid=metadata["uid"],
            position=answer.place.position,
            container=answer.place.container,
            kind=answer.place.kind,
            shares=answer.shares,
            bound=_number(annotations_of(pod).get(BIND_TIME)),
            note=answer.note,
        )
        if metadata["uid"] in self.checker.holdings:
            self.checker.holdings[metadata["uid"]].init_done = init_done(pod)
        wrong = self.checker.claim(claim)
        for text in wrong:
            log.error("node %s: VIOLATION: %s", self.node.name, text)
            self.journal.violated(self.node.name, text)
        if wrong:
            raise AllocateFailed("; ".join(wrong))
        self.journal.allocated(self.node.name, claim)

    # -- the outcome ---------------------------------------------------------------------------------------------

    async def _give_up(self, pod: Json) -> None:
        try:
            await self._end(pod, Phase.FAILED)
        except CALL_ERRORS as error:
            log.warning("node %s: phase and lock stay as they are: %s", self.node.name, error)

    async def _end(self, pod: Json, phase: Phase) -> None:
        """Write the phase, where the plugin does, and take the lock away."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        habits = self.node.habits
        if habits.phase_key:
            written = {habits.phase_key: phase.value, **habits.closing}
            await self.api.patch(pod_path(namespace, name), {"metadata": {"annotations": written}})
        if habits.lock_key:
            await self._unlock(namespace, name)

    async def _unlock(self, namespace: str, name: str) -> None:
        """Take the lock away where it is the pod's or names nobody; some plugins do not look whose it is."""
        habits = self.node.habits
        node = await self.api.get(node_path(self.node.name))
        text = protocol.lock_text(node, habits.lock_key)
        holder = protocol.lock_holder(node, habits.lock_key)
        if text is not None and (habits.lock_of_anyone or holder in ((namespace, name), None)):
            path = "/metadata/annotations/" + habits.lock_key.replace("/", "~1")
            operations: list[Json] = [
                {"op": "test", "path": path, "value": text},
                {"op": "remove", "path": path},
            ]
            await self.api.patch(node_path(self.node.name), operations, JSON_PATCH)


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
