"""Node locks of our own, for plugins that know none: theirs is a flag on the pod, by which we release the lock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import BIND_PHASE, NODE_LOCK, OWN_LOCK, format_lock
from hami_operator.kube import paths
from hami_operator.kube.client import Client
from hami_operator.kube.lockbook import LockNews, LockSettings, Turn
from hami_operator.kube.nodelock import NodeLocks
from hami_operator.kube.takeover import Marks
from tests.cluster.kube.conftest import World, until
from tests.cluster.kube.test_nodelock import NOW, Clock
from tests.faultproxy import FaultProxy

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

FLAG = "vendor.com/assigned"
OWN = OWN_LOCK.format("vendor")
VOLCANO = "hamivgpu"
THEIR_PHASE = "volcano.sh/bind-phase"
MARKS = {NODE_LOCK: Marks(), OWN: Marks(served=FLAG), VOLCANO: Marks(phase=THEIR_PHASE)}


def locks_of(client: Client, told: list[LockNews] | None = None, poll_s: float = 1000.0) -> NodeLocks:
    locks = NodeLocks(client, LockSettings(poll_s=poll_s), (told if told is not None else []).append, Clock())
    locks.know(MARKS)
    return locks


async def lock_of(world: World, node: str, key: str = OWN) -> str | None:
    return (await world.read_node(node)).annotations.get(key)


async def bound(world: World, node: str, flag: str) -> PodKey:
    """A pod that was bound with its flag, as we bind it."""
    pod = await world.pod()
    await world.bind(pod, node, annotations={BIND_PHASE: "allocating", FLAG: flag})
    return pod


async def waits(_: World, __: PodKey) -> None:
    pass


async def is_served(world: World, pod: PodKey) -> None:
    await world.annotate(paths.pod(pod.namespace, pod.name), {FLAG: "true"})


async def runs(world: World, pod: PodKey) -> None:
    await world.set_phase(pod, "Running")


async def fails(world: World, pod: PodKey) -> None:
    await world.set_phase(pod, "Failed")


async def is_deleted(world: World, pod: PodKey) -> None:
    await world.delete_pod(pod)


HISTORIES = [
    # what became of the holder, the age of its lock, what a waiter without patience gets, whether it is by force
    ("waits for its cards", waits, 0, Turn.BUSY, False),
    ("waits for its cards, expired", waits, 301, Turn.BUSY, False),
    ("waits for its cards, twice expired", waits, 601, Turn.TAKEN, True),
    ("is served, fresh", is_served, 0, Turn.TAKEN, False),
    ("runs without being served, fresh", runs, 0, Turn.BUSY, False),
    ("runs without being served", runs, 5, Turn.TAKEN, True),
    ("has failed, fresh", fails, 0, Turn.TAKEN, False),
    ("is gone, fresh", is_deleted, 4, Turn.BUSY, False),
    ("is gone", is_deleted, 5, Turn.TAKEN, False),
]


@pytest.mark.parametrize(
    ("act", "age", "turn", "forced"), [h[1:] for h in HISTORIES], ids=[str(h[0]) for h in HISTORIES]
)
async def test_a_lock_of_our_own_is_taken_over_when_its_history_allows_it(
    client: Client, world: World, act: Callable[[World, PodKey], Awaitable[None]], age: int, turn: Turn, forced: bool
) -> None:
    told: list[LockNews] = []
    node, requester = await world.node(), await world.pod()
    holder = await bound(world, node, "false")
    await act(world, holder)
    await world.annotate(paths.node(node), {OWN: format_lock(NOW - age, "default", holder.name)})

    assert await locks_of(client, told).take(node, requester, 0, OWN) is turn

    owner = requester if turn is Turn.TAKEN else holder
    assert (await lock_of(world, node) or "").endswith(f",default,{owner.name}")
    assert [news.forced for news in told if news.forced] == [True] * forced


async def test_a_lock_of_our_own_names_its_pod_and_is_apart_from_that_of_the_protocol(
    client: Client, world: World
) -> None:
    locks = locks_of(client)
    node, first, second = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, first, 0, OWN) is Turn.TAKEN
    assert await locks.take(node, second, 0) is Turn.TAKEN
    assert await lock_of(world, node) == format_lock(NOW, "default", first.name)
    assert await lock_of(world, node, NODE_LOCK) == format_lock(NOW, "default", second.name)


async def test_a_pod_that_is_served_loses_its_lock_without_anyone_waiting(client: Client, world: World) -> None:
    locks = locks_of(client)
    node = await world.node()
    holder = await bound(world, node, "false")
    assert await locks.take(node, holder, 0, OWN) is Turn.TAKEN
    await is_served(world, holder)
    locks.pod_ended(holder)

    async def free() -> bool:
        return await lock_of(world, node) is None

    await until(free, "the lock is released")
    await locks.close()


async def test_a_served_pod_hands_its_lock_over_with_one_write(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    told: list[LockNews] = []
    locks = locks_of(proxied, told)
    node, waiter = await world.node(), await world.pod()
    holder = await bound(world, node, "false")
    assert await locks.take(node, holder, 0, OWN) is Turn.TAKEN
    taking = asyncio.ensure_future(locks.take(node, waiter, math.inf, OWN))
    await until(lambda: bool(told), "the next has seen the lock and waits")
    before = proxy.count("PATCH", f"/nodes/{node}$")
    await is_served(world, holder)
    locks.pod_ended(holder)
    assert await asyncio.wait_for(taking, 10) is Turn.TAKEN
    assert await lock_of(world, node) == format_lock(NOW, "default", waiter.name)
    assert proxy.count("PATCH", f"/nodes/{node}$") == before + 1


async def test_news_of_a_served_pod_that_never_comes_is_noticed(client: Client, world: World) -> None:
    locks = locks_of(client, poll_s=0.05)
    node, waiter = await world.node(), await world.pod()
    holder = await bound(world, node, "false")
    await world.annotate(paths.node(node), {OWN: format_lock(NOW, "default", holder.name)})
    taking = asyncio.ensure_future(locks.take(node, waiter, math.inf, OWN))
    await until(lambda: bool(locks.waiting()), "the next waits")
    await is_served(world, holder)
    assert await asyncio.wait_for(taking, 10) is Turn.TAKEN


async def test_a_new_leader_sweeps_locks_of_served_pods_and_leaves_those_of_others(
    client: Client, world: World
) -> None:
    locks = locks_of(client)
    served, waiting = await world.node(), await world.node()
    for node, flag in ((served, "true"), (waiting, "false")):
        holder = await bound(world, node, flag)
        await world.annotate(paths.node(node), {OWN: format_lock(NOW, "default", holder.name)})
        locks.node_seen(await world.read_node(node))
    await locks.sweep()
    assert [await lock_of(world, node) is None for node in (served, waiting)] == [True, False]


@pytest.mark.parametrize(("phase", "turn"), [("allocating", Turn.BUSY), ("failed", Turn.TAKEN)])
async def test_a_lock_is_taken_from_a_pod_that_its_plugin_failed_under_a_key_of_its_own(
    client: Client, world: World, phase: str, turn: Turn
) -> None:
    locks = locks_of(client, poll_s=0.0)
    node, holder, requester = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, holder, 0, VOLCANO) is Turn.TAKEN
    await world.bind(holder, node, annotations={BIND_PHASE: "allocating", THEIR_PHASE: phase})
    assert await locks.take(node, requester, 0, VOLCANO) is turn
