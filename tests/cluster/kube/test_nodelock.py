"""The node lock on a real node: taken, waited for, taken over, released; each history of HAMi's lock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import BIND_PHASE, EPOCH, NODE_LOCK, format_lock, parse_lock
from hami_operator.kube import paths
from hami_operator.kube.client import Client
from hami_operator.kube.errors import NotLeading
from hami_operator.kube.lockbook import LockNews, LockSettings, Turn
from hami_operator.kube.nodelock import NodeLocks
from hami_operator.kube.takeover import GONE_SECONDS, Marks
from tests.cluster.kube.conftest import World, until
from tests.faultproxy import FaultProxy, Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

NOW = 1_760_000_000.0
NEVER = LockSettings(poll_s=1000.0)


class Clock:
    """Our clock; a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def locks_of(
    client: Client, settings: LockSettings = NEVER, tell: Callable[[LockNews], None] | None = None
) -> NodeLocks:
    return NodeLocks(client, settings, tell or (lambda _: None), Clock())


# -- histories ---------------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """A node, and a pod that its lock names."""

    world: World
    node: str
    holder: PodKey
    locks: NodeLocks

    async def phase(self, value: str) -> None:
        await self.world.annotate(paths.pod(self.holder.namespace, self.holder.name), {BIND_PHASE: value})


async def nothing(scene: Scene) -> None:
    pass


async def gone(scene: Scene) -> None:
    await scene.world.delete_pod(scene.holder)


async def succeeded(scene: Scene) -> None:
    await scene.world.bind(scene.holder, scene.node)
    await scene.world.set_phase(scene.holder, "Succeeded")


async def failed(scene: Scene) -> None:
    await scene.world.bind(scene.holder, scene.node)
    await scene.phase("failed")


async def allocating(scene: Scene) -> None:
    await scene.world.bind(scene.holder, scene.node)
    await scene.phase("allocating")


async def success(scene: Scene) -> None:
    await scene.world.bind(scene.holder, scene.node)
    await scene.phase("success")


async def elsewhere(scene: Scene) -> None:
    await scene.world.bind(scene.holder, await scene.world.node())
    await scene.phase("allocating")


async def in_hand(scene: Scene) -> None:
    scene.locks.in_hand.add(scene.holder.uid)


HISTORIES = [
    # what the holder has done, the lock's text, what a waiter without patience gets, whether it is by force
    ("gone, fresh", gone, "{4},default,{pod}", Turn.BUSY, False),
    ("gone, its Allocate call as well", gone, "{5},default,{pod}", Turn.TAKEN, False),
    ("ended, fresh", succeeded, "{0},default,{pod}", Turn.TAKEN, False),
    ("failed by its plugin, fresh", failed, "{0},default,{pod}", Turn.TAKEN, False),
    ("bound elsewhere, fresh", elsewhere, "{0},default,{pod}", Turn.TAKEN, False),
    ("ours, unbound, nobody's, fresh", nothing, "{0},default,{pod}", Turn.TAKEN, False),
    ("ours, unbound, in our hands, old", in_hand, "{660},default,{pod}", Turn.BUSY, False),
    ("allocating, fresh", allocating, "{3},default,{pod}", Turn.BUSY, False),
    ("allocating, expired", allocating, "{301},default,{pod}", Turn.BUSY, False),
    ("allocating, twice expired", allocating, "{601},default,{pod}", Turn.TAKEN, True),
    ("served, fresh", success, "{3},default,{pod}", Turn.BUSY, False),
    ("served, expired", success, "{301},default,{pod}", Turn.TAKEN, False),
    ("another namespace's pod of that name", allocating, "{5},kube-system,{pod}", Turn.TAKEN, False),
    ("old form, fresh", allocating, "{60}", Turn.BUSY, False),
    ("old form, expired", allocating, "{301}", Turn.TAKEN, False),
    ("unreadable time", allocating, "yesterday,default,{pod}", Turn.TAKEN, True),
    ("unreadable form", allocating, "{0},{pod}", Turn.TAKEN, True),
    ("empty", allocating, "", Turn.TAKEN, True),
    ("by a clock that is an hour ahead", allocating, "{-3600},default,{pod}", Turn.BUSY, False),
]


def text_of(template: str, pod: str) -> str:
    """``{60}`` stands for the time 60 seconds ago."""
    age, brace, rest = template[1:].partition("}") if template.startswith("{") else ("", "", "")
    if not brace:
        return template.replace("{pod}", pod)
    return format_lock(NOW - int(age), "", "").rstrip(",") + rest.replace("{pod}", pod)


@pytest.mark.parametrize(
    ("act", "template", "turn", "forced"), [h[1:] for h in HISTORIES], ids=[str(h[0]) for h in HISTORIES]
)
async def test_a_lock_is_taken_over_when_its_history_allows_it(
    client: Client, world: World, act: Callable[[Scene], Awaitable[None]], template: str, turn: Turn, forced: bool
) -> None:
    told: list[LockNews] = []
    locks = locks_of(client, tell=told.append)
    scene = Scene(world, await world.node(), await world.pod(), locks)
    await act(scene)
    text = text_of(template, scene.holder.name)
    await world.annotate(paths.node(scene.node), {NODE_LOCK: text})
    requester = await world.pod()

    assert await locks.take(scene.node, requester, patience_s=0) is turn

    mine = format_lock(NOW, "default", requester.name)
    assert await world.lock(scene.node) == (mine if turn is Turn.TAKEN else text)
    assert [news.text for news in told if news.forced] == ([] if not forced else [told[0].text])
    assert (scene.node in told[0].text) if forced else True


async def test_a_free_lock_is_taken_in_the_words_of_the_protocol(client: Client, world: World) -> None:
    train = await world.pod("train-0")
    for before in ({}, {"some": "thing"}):
        node = await world.node(before)
        assert await locks_of(client).take(node, train, 0) is Turn.TAKEN
        assert await world.lock(node) == "2025-10-09T08:53:20Z,default,train-0"
        assert (await world.read_node(node)).annotations.items() >= before.items()


async def test_a_holder_of_ours_that_nobody_binds_is_fenced_before_its_lock_is_taken(
    client: Client, world: World
) -> None:
    node, holder, requester = await world.node(), await world.pod(), await world.pod()
    await world.annotate(paths.node(node), {NODE_LOCK: format_lock(NOW, "default", holder.name)})
    before = await world.read(holder)
    assert await locks_of(client).take(node, requester, 0) is Turn.TAKEN
    after = await world.read(holder)
    assert after["metadata"]["annotations"][EPOCH]
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]


async def test_a_lock_of_a_clock_that_is_ahead_expires_by_our_clock(client: Client, world: World) -> None:
    clock, told = Clock(), list[LockNews]()
    locks = NodeLocks(client, LockSettings(poll_s=0.05), told.append, clock)
    node, holder, requester = await world.node(), await world.pod(), await world.pod()
    await world.bind(holder, node, annotations={BIND_PHASE: "success"})
    await world.annotate(paths.node(node), {NODE_LOCK: format_lock(NOW + 10**9, "default", holder.name)})
    taking = asyncio.ensure_future(locks.take(node, requester, math.inf))
    await until(lambda: bool(told), "the pod has seen the lock and waits")
    clock.now += 301
    assert await asyncio.wait_for(taking, 10) is Turn.TAKEN


async def test_the_holder_takes_its_own_lock_again_with_a_new_time(client: Client, world: World) -> None:
    clock = Clock()
    locks = NodeLocks(client, NEVER, clock=clock)
    node, pod = await world.node(), await world.pod()
    assert await locks.take(node, pod, 0) is Turn.TAKEN
    clock.now += 7
    assert await locks.take(node, pod, 0) is Turn.TAKEN
    assert await world.lock(node) == format_lock(NOW + 7, "default", pod.name)


# -- waiting -----------------------------------------------------------------------------------------------------


async def test_a_pod_that_waits_for_a_lock_is_no_work_under_way(client: Client, world: World) -> None:
    told: list[LockNews] = []
    locks = NodeLocks(client, LockSettings(), told.append)
    node, holder, waits, other = await world.node(), await world.pod(), await world.pod(), await world.pod()
    await world.bind(holder, node, annotations={BIND_PHASE: "allocating"})
    assert await locks.take(node, holder, 0) is Turn.TAKEN
    locks.in_hand.add(waits.uid)
    assert locks.at_work()
    waiting = asyncio.ensure_future(locks.take(node, waits, 20))
    await until(lambda: bool(told), "it was told that it waits")
    assert not locks.at_work()
    locks.in_hand.add(other.uid)
    assert locks.at_work()
    locks.abandon(waits.uid)
    assert await waiting is Turn.ABANDONED


async def test_who_waits_is_woken_by_news_of_the_node(client: Client, world: World) -> None:
    told: list[LockNews] = []
    locks = locks_of(client, tell=told.append)
    node, first, second = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, first, 0) is Turn.TAKEN
    taking = asyncio.ensure_future(locks.take(node, second, math.inf))
    await until(lambda: bool(told), "the second has seen the lock and waits")
    assert locks.waiting() == {node: 1}
    assert locks.busy(node)
    await world.annotate(paths.node(node), {NODE_LOCK: None})
    locks.node_seen(await world.read_node(node))
    assert await asyncio.wait_for(taking, 10) is Turn.TAKEN
    assert locks.waiting() == {}
    assert told == [LockNews(node, second, f"node {node} has been locked within 5m0s", forced=False)]


async def test_news_that_never_comes_is_noticed(client: Client, world: World) -> None:
    locks = locks_of(client, LockSettings(poll_s=0.05))
    node, first, second = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, first, 0) is Turn.TAKEN
    taking = asyncio.ensure_future(locks.take(node, second, math.inf))
    await until(lambda: bool(locks.waiting()), "the second waits")
    await world.annotate(paths.node(node), {NODE_LOCK: None})
    assert await asyncio.wait_for(taking, 10) is Turn.TAKEN


async def test_stale_news_does_not_make_a_lock_look_free(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, first, second = await world.node(), await world.pod(), await world.pod()
    before = await world.read_node(node)
    assert await locks.take(node, first, 0) is Turn.TAKEN
    locks.node_seen(before)
    assert locks.busy(node)
    assert await locks.take(node, second, 0) is Turn.BUSY


async def test_pods_get_the_lock_in_the_order_in_which_they_came(client: Client, world: World) -> None:
    locks = locks_of(client)
    node = await world.node()
    pods = [await world.pod() for _ in range(8)]
    order: list[str] = []

    async def use(pod: PodKey) -> None:
        assert await locks.take(node, pod, math.inf) is Turn.TAKEN
        order.append(pod.name)
        assert parse_lock(await world.lock(node) or "").held_by(pod.namespace, pod.name)
        await locks.release(node, pod)

    async with asyncio.TaskGroup() as group:
        for pod in pods:
            group.create_task(use(pod))
    assert order == [pod.name for pod in pods]
    assert await world.lock(node) is None


async def test_two_schedulers_never_hold_the_same_lock_at_once(client: Client, world: World) -> None:
    node = await world.node()
    held: list[str] = []

    async def use(locks: NodeLocks, pod: PodKey) -> None:
        locks.in_hand.add(pod.uid)
        assert await locks.take(node, pod, math.inf) is Turn.TAKEN
        assert held == []
        held.append(pod.name)
        lock = parse_lock(await world.lock(node) or "")
        assert lock.held_by(pod.namespace, pod.name)
        held.remove(pod.name)
        await locks.release(node, pod)

    # Pods of different schedulers: neither takes the other's lock for that of a pod that nobody binds.
    both = [locks_of(client, LockSettings(name, poll_s=0.02)) for name in ("hami-scheduler", "another")]
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            for locks, scheduler in zip(both, ("hami-scheduler", "another"), strict=True):
                group.create_task(use(locks, await world.pod(scheduler=scheduler)))
    assert await world.lock(node) is None


async def test_patience_ends(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, first, second = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, first, 0) is Turn.TAKEN
    assert await locks.take(node, second, 0.05) is Turn.BUSY
    assert locks.waiting() == {}


async def test_the_next_watches_the_lock_when_the_first_gives_up(client: Client, world: World) -> None:
    locks = locks_of(client, LockSettings(poll_s=0.05))
    node, holder, second, third = await world.node(), await world.pod(), await world.pod(), await world.pod()
    assert await locks.take(node, holder, 0) is Turn.TAKEN
    giving_up = asyncio.ensure_future(locks.take(node, second, 0.3))
    await until(lambda: locks.waiting() == {node: 1}, "the second waits")
    staying = asyncio.ensure_future(locks.take(node, third, math.inf))
    assert await giving_up is Turn.BUSY
    await world.annotate(paths.node(node), {NODE_LOCK: None})
    assert await asyncio.wait_for(staying, 10) is Turn.TAKEN


async def test_a_pod_that_is_gone_does_not_wait_on(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, first, second, third = await world.node(), await world.pod(), await world.pod(), await world.pod()
    assert await locks.take(node, first, 0) is Turn.TAKEN
    waits = [asyncio.ensure_future(locks.take(node, pod, math.inf)) for pod in (second, third)]
    await until(lambda: locks.waiting() == {node: 2}, "both wait")
    locks.abandon(second.uid)
    assert await asyncio.wait_for(waits[0], 10) is Turn.ABANDONED
    await locks.release(node, first)
    assert await asyncio.wait_for(waits[1], 10) is Turn.TAKEN


async def test_a_node_that_goes_ends_the_wait_for_it(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, first, others = await world.node(), await world.pod(), [await world.pod() for _ in range(2)]
    assert await locks.take(node, first, 0) is Turn.TAKEN
    waits = [asyncio.ensure_future(locks.take(node, pod, math.inf)) for pod in others]
    await until(lambda: locks.waiting() == {node: 2}, "both wait")
    await world.delete_node(node)
    locks.node_gone(node)
    assert await asyncio.wait_for(asyncio.gather(*waits), 10) == [Turn.NODE_GONE] * 2
    assert not locks.busy(node)


async def test_a_lock_is_removed_when_its_holder_has_gone_and_all_who_waited_for_it_as_well(
    client: Client, world: World
) -> None:
    """The end of the holder was left to the first who waits; a job was deleted, say."""
    clock = Clock()
    locks = NodeLocks(client, NEVER, clock=clock)
    node, first, second = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, first, 0) is Turn.TAKEN
    waiting = asyncio.ensure_future(locks.take(node, second, math.inf))
    await until(lambda: locks.waiting() == {node: 1}, "it waits")
    await world.delete_pod(first)
    locks.pod_ended(first)
    await asyncio.sleep(0)
    clock.now += GONE_SECONDS
    locks.abandon(second.uid)
    assert await asyncio.wait_for(waiting, 10) is Turn.ABANDONED
    await until(lambda: not locks.held(), "the lock is removed")


# -- releasing ---------------------------------------------------------------------------------------------------


async def test_only_the_holder_releases(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, holder = await world.node(), await world.pod()
    assert await locks.take(node, holder, 0) is Turn.TAKEN
    shorter = PodKey("default", holder.name[:-1], "u")
    for other in (shorter, PodKey("other", holder.name, "u"), PodKey("default", holder.name, "namesake")):
        await locks.release(node, other)
    assert await world.lock(node) is not None
    await locks.release(node, holder)
    assert await world.lock(node) is None
    await locks.release(node, holder)


async def test_a_lock_of_a_former_process_is_released_by_name(client: Client, world: World) -> None:
    node, holder = await world.node(), await world.pod()
    assert await locks_of(client).take(node, holder, 0) is Turn.TAKEN
    await locks_of(client).release(node, holder)
    assert await world.lock(node) is None


async def test_a_pod_that_ended_loses_its_lock_without_anyone_waiting(client: Client, world: World) -> None:
    clock = Clock()
    locks = NodeLocks(client, NEVER, clock=clock)
    node, holder = await world.node(), await world.pod()
    assert await locks.take(node, holder, 0) is Turn.TAKEN
    await world.delete_pod(holder)
    clock.now += GONE_SECONDS
    locks.pod_ended(PodKey(holder.namespace, holder.name, "namesake"))
    locks.pod_ended(holder)

    async def free() -> bool:
        return await world.lock(node) is None

    await until(free, "the lock is released")
    await locks.close()


async def test_who_waits_takes_over_when_the_holder_ends(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, holder, waiter = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, holder, 0) is Turn.TAKEN
    taking = asyncio.ensure_future(locks.take(node, waiter, math.inf))
    await until(lambda: bool(locks.waiting()), "the pod waits")
    await world.bind(holder, node, annotations={BIND_PHASE: "failed"})
    locks.pod_ended(holder)
    assert await asyncio.wait_for(taking, 10) is Turn.TAKEN


async def test_a_new_leader_sweeps_dead_locks_and_leaves_living_ones(client: Client, world: World) -> None:
    locks = locks_of(client)
    dead, living, loose, foreign = [await world.node() for _ in range(4)]
    allocated, pending, other = await world.pod(), await world.pod(), await world.pod(scheduler="another")
    await world.bind(allocated, living, annotations={BIND_PHASE: "allocating"})
    names = {dead: "long-gone", living: allocated.name, loose: pending.name, foreign: other.name}
    for node, name in names.items():
        await world.annotate(paths.node(node), {NODE_LOCK: format_lock(NOW - 5, "default", name)})
        locks.node_seen(await world.read_node(node))
    await locks.sweep()
    assert [await world.lock(node) is None for node in names] == [True, False, True, False]


# -- locks that name no pod --------------------------------------------------------------------------------------

DSMLU = "cambricon.com/dsmlu.lock"


async def test_an_anonymous_lock_is_a_time_alone_and_apart_from_the_other(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, first, second = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, first, 0) is Turn.TAKEN
    assert await locks.take(node, second, 0, DSMLU) is Turn.TAKEN
    annotations = (await world.read_node(node)).annotations
    assert annotations[DSMLU] == "2025-10-09T08:53:20Z"
    assert annotations[NODE_LOCK] == f"2025-10-09T08:53:20Z,default,{first.name}"
    assert await locks.take(node, first, 0, DSMLU) is Turn.BUSY
    await locks.release(node, first, DSMLU)
    assert DSMLU in (await world.read_node(node)).annotations
    await locks.release(node, second, DSMLU)
    annotations = (await world.read_node(node)).annotations
    assert DSMLU not in annotations
    assert NODE_LOCK in annotations


@pytest.mark.parametrize(("age", "turn"), [(119, Turn.BUSY), (121, Turn.TAKEN)])
async def test_an_anonymous_lock_of_others_expires_after_two_minutes(
    client: Client, world: World, age: int, turn: Turn
) -> None:
    node = await world.node({DSMLU: text_of(f"{{{age}}}", "")})
    assert await locks_of(client).take(node, await world.pod(), 0, DSMLU) is turn


async def test_an_anonymous_lock_of_ours_is_known_by_its_pod(client: Client, world: World) -> None:
    clock = Clock()
    locks = NodeLocks(client, LockSettings(poll_s=0.0), clock=clock)
    locks.know({DSMLU: Marks()})
    node, holder, waiter = await world.node(), await world.pod(), await world.pod()
    assert await locks.take(node, holder, 0, DSMLU) is Turn.TAKEN
    await world.bind(holder, node, annotations={BIND_PHASE: "allocating"})
    assert await locks.take(node, waiter, 0, DSMLU) is Turn.BUSY
    await world.delete_pod(holder)
    clock.now += GONE_SECONDS
    locks.pod_ended(holder)

    async def free() -> bool:
        return DSMLU not in (await world.read_node(node)).annotations

    await until(free, "the lock is released")
    await locks.close()


# -- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.CUT_AFTER, Kind.STATUS, Kind.STATUS_AFTER])
async def test_a_lock_is_taken_once_though_the_answer_is_lost(
    proxied: Client, proxy: FaultProxy, world: World, kind: Kind
) -> None:
    locks = locks_of(proxied)
    node, pod = await world.node(), await world.pod()
    proxy.fault(kind, "PATCH", f"/nodes/{node}")
    assert await locks.take(node, pod, math.inf) is Turn.TAKEN
    assert await world.lock(node) == format_lock(NOW, "default", pod.name)


async def test_a_lock_patch_that_may_have_landed_is_taken_back_when_the_wait_ends(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    locks = locks_of(proxied)
    node, pod = await world.node(), await world.pod()
    proxy.fault(Kind.CUT_AFTER, "PATCH", f"/nodes/{node}")
    assert await locks.take(node, pod, 0) is Turn.BUSY
    assert await world.lock(node) is None


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.CUT_AFTER, Kind.STATUS])
async def test_a_release_is_tried_until_it_is_answered(
    proxied: Client, proxy: FaultProxy, world: World, kind: Kind
) -> None:
    locks = locks_of(proxied)
    node, pod = await world.node(), await world.pod()
    assert await locks.take(node, pod, 0) is Turn.TAKEN
    proxy.fault(kind, "PATCH", f"/nodes/{node}", times=2)
    await locks.release(node, pod)
    assert await world.lock(node) is None


async def test_a_lock_that_can_not_be_swept_does_not_keep_the_others(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    locks = locks_of(proxied)
    nodes = sorted([await world.node() for _ in range(2)])
    for node in nodes:
        await world.annotate(paths.node(node), {NODE_LOCK: format_lock(NOW - 5, "default", "long-gone")})
        locks.node_seen(await world.read_node(node))
    proxy.fault(Kind.STATUS, "PATCH", f"/nodes/{nodes[0]}", status=403)
    await locks.sweep()
    assert [await world.lock(node) is None for node in nodes] == [False, True]


async def test_a_release_goes_on_though_others_write_the_node(client: Client, world: World) -> None:
    locks = locks_of(client)
    node, pod = await world.node(), await world.pod()
    assert await locks.take(node, pod, 0) is Turn.TAKEN
    await world.annotate(paths.node(node), {"hami.io/node-handshake": "Reported", "other": "x"})
    await locks.release(node, pod)
    left = (await world.read_node(node)).annotations
    assert left.items() >= {"hami.io/node-handshake": "Reported", "other": "x"}.items()
    assert NODE_LOCK not in left


async def test_nothing_is_released_without_the_lease(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    leading = True
    locks = locks_of(client.guarded(lambda: leading))
    assert await locks.take(node, pod, 0) is Turn.TAKEN
    leading = False
    with pytest.raises(NotLeading):
        await locks.release(node, pod)
    assert await world.lock(node) is not None
