"""A pod of two families under the node lock, on the real API server: its plugins' writes are made by hand."""

from __future__ import annotations

import asyncio
import math

import pytest

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import BIND_PHASE, NODE_LOCK, format_lock
from hami_operator.kube import paths
from hami_operator.kube.client import Client
from hami_operator.kube.lockbook import LockSettings, Turn
from hami_operator.kube.nodelock import NodeLocks
from hami_operator.kube.turns import Turns, Unserved
from tests.cluster.kube.conftest import World, until
from tests.cluster.kube.test_nodelock import NOW, Clock

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

FIRST, SECOND = "hami.io/vgpu-devices-to-allocate", "hami.io/Ascend910B3-devices-to-allocate"
CARDS = {FIRST: "GPU-a,NVIDIA,1000,0:;", SECOND: ";npu-a,Ascend910B3,1000,0:;"}


class Scene:
    """A node, its locks, and a pod of two families that is bound and holds the lock."""

    def __init__(self, client: Client, world: World, patience_s: float = 30.0) -> None:
        self.world = world
        self.locks = NodeLocks(client, LockSettings(poll_s=0.05), clock=Clock())
        self.turns = Turns(client, self.locks, patience_s)

    async def bound(self) -> Unserved:
        node, pod = await self.world.node(), await self.world.pod()
        assert await self.locks.take(node, pod, 0) is Turn.TAKEN
        await self.world.bind(pod, node, annotations={BIND_PHASE: "allocating", **CARDS})
        return Unserved(pod, node, (FIRST, SECOND))

    async def serve(self, unserved: Unserved, key: str, *, done: bool = True) -> None:
        """What a plugin does when its own list is empty; without ``done`` it leaves the lock for now."""
        path = paths.pod(unserved.pod.namespace, unserved.pod.name)
        await self.world.annotate(path, {key: ";", BIND_PHASE: "success"})
        if done:
            await self.unlock(unserved)

    async def unlock(self, unserved: Unserved) -> None:
        await self.world.annotate(paths.node(unserved.node), {NODE_LOCK: None})

    async def phase(self, pod: PodKey) -> str:
        return (await self.world.read(pod))["metadata"]["annotations"][BIND_PHASE]

    async def close(self) -> None:
        await self.turns.close()
        await self.locks.close()


async def test_a_pod_with_cards_left_gets_the_lock_again_and_is_allocating_again(client: Client, world: World) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    await scene.serve(unserved, FIRST)
    scene.turns.again(unserved)

    async def again() -> bool:
        return await scene.phase(unserved.pod) == "allocating"

    await until(again, "the phase is allocating again")
    assert await world.lock(unserved.node) == format_lock(NOW, "default", unserved.pod.name)
    left = (await world.read(unserved.pod))["metadata"]["annotations"]
    assert (left[FIRST], left[SECOND]) == (";", CARDS[SECOND])
    await scene.close()


async def test_it_comes_before_those_who_wait_for_the_node_and_after_its_plugin(client: Client, world: World) -> None:
    scene = Scene(client, world)
    unserved, other = await scene.bound(), await world.pod()
    taking = asyncio.ensure_future(scene.locks.take(unserved.node, other, math.inf))
    await until(lambda: scene.locks.waiting() == {unserved.node: 1}, "another pod waits")
    held = await world.lock(unserved.node)
    scene.turns.again(unserved)
    assert scene.turns.under_way == {unserved.pod.uid}
    assert await world.lock(unserved.node) == held
    await scene.serve(unserved, FIRST)

    async def again() -> bool:
        return await scene.phase(unserved.pod) == "allocating"

    await until(again, "the phase is allocating again")
    assert not taking.done()
    await scene.serve(unserved, SECOND)
    assert await asyncio.wait_for(taking, 10) is Turn.TAKEN
    await scene.close()


async def test_a_lock_that_somebody_takes_from_a_pod_that_waits_is_given_back(client: Client, world: World) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    before = await world.read(unserved.pod)
    scene.turns.again(unserved)
    await scene.unlock(unserved)

    async def locked() -> bool:
        return await world.lock(unserved.node) is not None

    await until(locked, "it is locked again")
    await until(lambda: not scene.turns.under_way, "it has been looked at")
    assert (await world.read(unserved.pod))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    await scene.close()


async def test_a_pod_that_was_served_meanwhile_leaves_no_lock(client: Client, world: World) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    await scene.serve(unserved, FIRST)
    await scene.serve(unserved, SECOND)
    scene.turns.again(unserved)
    await until(lambda: unserved.pod.uid not in scene.turns.under_way, "it has been looked at")
    assert await world.lock(unserved.node) is None
    assert await scene.phase(unserved.pod) == "success"
    await scene.close()


@pytest.mark.parametrize("end", ["Running", "Failed"])
async def test_a_pod_that_waits_no_more_leaves_no_lock(client: Client, world: World, end: str) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    await scene.serve(unserved, FIRST)
    await world.set_phase(unserved.pod, end)
    scene.turns.again(unserved)
    await until(lambda: unserved.pod.uid not in scene.turns.under_way, "it has been looked at")
    assert await world.lock(unserved.node) is None
    assert await scene.phase(unserved.pod) == "success"
    await scene.close()


async def test_a_plugin_that_never_empties_its_list_gets_one_turn_and_loses_the_lock_when_the_pod_runs(
    client: Client, world: World
) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    await scene.serve(unserved, FIRST)
    scene.turns.again(unserved)

    async def again() -> bool:
        return await scene.phase(unserved.pod) == "allocating"

    await until(again, "the phase is allocating again")
    await world.annotate(paths.pod("default", unserved.pod.name), {BIND_PHASE: "success"})
    scene.turns.again(unserved)
    assert unserved.pod.uid not in scene.turns.under_way
    scene.turns.over(unserved.pod, unserved.node)

    async def free() -> bool:
        return await world.lock(unserved.node) is None

    await until(free, "the lock is released")
    await scene.close()


async def test_a_pod_that_ends_while_it_waits_for_the_lock_gives_up_and_loses_the_one_it_has(
    client: Client, world: World
) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    scene.turns.again(unserved)
    await until(lambda: scene.locks.waiting() == {unserved.node: 1}, "it waits for its plugin to take the lock away")
    await world.set_phase(unserved.pod, "Failed")
    scene.locks.pod_ended(unserved.pod)
    scene.turns.forget(unserved.pod)

    async def free() -> bool:
        return await world.lock(unserved.node) is None

    await until(free, "the lock is released")
    assert (scene.turns.under_way, scene.locks.waiting()) == (set(), {})
    await scene.close()


async def test_a_namesake_is_left_alone(client: Client, world: World) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    await scene.serve(unserved, FIRST)
    gone = Unserved(PodKey("default", unserved.pod.name, "of-before"), unserved.node, unserved.lists)
    scene.turns.again(gone)
    await until(lambda: not scene.turns.under_way, "it has been looked at")
    assert await scene.phase(unserved.pod) == "success"
    assert await world.lock(unserved.node) is None
    await scene.close()


async def test_nothing_is_written_without_the_lease(client: Client, world: World) -> None:
    scene = Scene(client, world)
    unserved = await scene.bound()
    await scene.serve(unserved, FIRST)
    follower = Scene(client.guarded(lambda: False), world)
    follower.turns.again(unserved)
    await until(lambda: not follower.turns.under_way, "it gives up")
    assert await world.lock(unserved.node) is None
    assert await scene.phase(unserved.pod) == "success"
    await follower.close()
    await scene.close()
