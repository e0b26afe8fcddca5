"""Orders carried out on a real API server: done, refused, undone, fenced."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Any

import pytest

from hami_operator.core.model import PodKey
from hami_operator.core.objects import read_node
from hami_operator.core.protocol import BIND_PHASE, BIND_TIME, EPOCH, NODE_LOCK, OWN_ALLOCATION, POD_NODE, parse_lock
from hami_operator.kube import paths
from hami_operator.kube.binder import Binder, Bound, BoundElsewhere, Gone, Order, Rejected, Why
from hami_operator.kube.client import Client
from hami_operator.kube.errors import NotLeading
from hami_operator.kube.fence import PodAbsent, PodOnNode, PodUnbound, fence
from hami_operator.kube.lockbook import LockSettings, Turn
from hami_operator.kube.nodelock import NodeLocks
from tests.cluster.kube.conftest import World, until
from tests.faultproxy import Fault, FaultProxy, Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

TO_ALLOCATE = "hami.io/vgpu-devices-to-allocate"


def binder_of(client: Client, server: tuple[int, int] = (1, 37), patience_s: float = 0.0) -> Binder:
    return Binder(client, NodeLocks(client), server, lambda _: None, patience_s)


async def order_for(world: World, pod: PodKey, node: str, **changes: Any) -> Order:
    """What the loop would ask for, on the pod as it is now."""
    metadata = (await world.read(pod))["metadata"]
    written = {
        POD_NODE: node,
        BIND_PHASE: "allocating",
        BIND_TIME: "1760000000",
        TO_ALLOCATE: "GPU-1,NVIDIA,1000,10:;",
        OWN_ALLOCATION: '{"NVIDIA":[[["GPU-1","NVIDIA",1000,10]]]}',
    }
    order = Order(
        pod=pod,
        resource_version=metadata["resourceVersion"],
        node=node,
        annotations=written,
        labels={POD_NODE: node},
        present=metadata.get("annotations") or {},
        locks=(NODE_LOCK,),
    )
    return replace(order, **changes)


async def node_name(world: World, pod: PodKey) -> str | None:
    name: str | None = (await world.read(pod))["spec"].get("nodeName")
    return name


async def assert_nothing_is_left(world: World, order: Order) -> None:
    """No node, no allocation, no label, no lock."""
    pod = await world.read(order.pod)
    assert "nodeName" not in pod["spec"]
    assert set(pod["metadata"].get("annotations") or {}) <= {EPOCH, *order.present}
    assert POD_NODE not in (pod["metadata"].get("labels") or {})
    assert await world.lock(order.node) is None


# -- done --------------------------------------------------------------------------------------------------------


async def test_node_annotations_and_label_are_written_in_one_request(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod(annotations={"users": "own"}, labels={"app": "a"})
    order = await order_for(world, pod, node)
    assert await binder_of(proxied).bind(order) == Bound(node)
    bound = await world.read(pod)
    assert bound["spec"]["nodeName"] == node
    assert bound["metadata"]["annotations"] == {"users": "own", **order.annotations}
    assert bound["metadata"]["labels"].items() >= {"app": "a", POD_NODE: node}.items()
    assert parse_lock(await world.lock(node) or "").held_by("default", pod.name)
    assert (proxy.writes("/pods/"), proxy.writes("/nodes/"), proxy.writes()) == (1, 1, 2)


async def test_a_family_without_a_lock_takes_none(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    assert await binder_of(client).bind(await order_for(world, pod, node, locks=())) == Bound(node)
    assert await world.lock(node) is None


async def test_a_node_name_that_is_no_label_value_is_only_annotated(client: Client, world: World) -> None:
    node = await world.node(name="n" * 63 + "." + "m" * 60)
    pod = await world.pod()
    assert await binder_of(client).bind(await order_for(world, pod, node)) == Bound(node)
    metadata = (await world.read(pod))["metadata"]
    assert metadata["annotations"][POD_NODE] == node
    assert POD_NODE not in (metadata.get("labels") or {})
    await world.set_phase(pod, "Running")


async def test_keys_of_an_earlier_decision_vanish(client: Client, world: World) -> None:
    stale = "hami.io/dcu-devices-allocated"
    node, pod = await world.node(), await world.pod(annotations={stale: "x", "users": "own"})
    order = await order_for(world, pod, node)
    order = replace(order, annotations={**order.annotations, stale: None, "hami.io/never-there": None})
    assert await binder_of(client).bind(order) == Bound(node)
    annotations = (await world.read(pod))["metadata"]["annotations"]
    assert stale not in annotations
    assert annotations["users"] == "own"


async def test_a_server_that_ignores_labels_of_a_binding_gets_them_before(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    assert await binder_of(proxied, (1, 34)).bind(order) == Bound(node)
    assert (await world.read(pod))["metadata"]["labels"][POD_NODE] == node
    assert [b"labels" in seen.body for seen in proxy.seen if "/pods/" in seen.path] == [True, False]


async def test_a_label_written_before_is_taken_back_when_the_binding_is_refused(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    proxy.fault(Kind.STATUS, "POST", "/binding", status=403)
    outcome = await binder_of(proxied, (1, 34)).bind(order)
    assert isinstance(outcome, Rejected)
    await assert_nothing_is_left(world, order)


async def test_fifty_pods_at_once_on_one_node_are_bound_one_after_another(client: Client, world: World) -> None:
    """A plugin serves one pod at a time: it releases the lock, and the next is bound."""
    node = await world.node()
    locks = NodeLocks(client, LockSettings(poll_s=1000))
    binder = Binder(client, locks, (1, 37), lambda _: None, 60)
    served: list[str] = []

    async def plugin() -> None:
        version = [page.resource_version async for page in client.pages(paths.NODES)][-1]
        async with contextlib.aclosing(client.watch(paths.NODES, version)) as events:
            async for kind, obj in events:
                if kind == "BOOKMARK" or obj["metadata"]["name"] != node:
                    continue
                locks.node_seen(read_node(obj))
                text = (obj["metadata"].get("annotations") or {}).get("hami.io/mutex.lock")
                if text and parse_lock(text).name not in served[-1:]:  # others write the node, too
                    lock = parse_lock(text)

                    async def bound(lock: Any = lock) -> bool:
                        return "nodeName" in (await world.api.get(paths.pod(lock.namespace, lock.name)))["spec"]

                    await until(bound, "the holder is bound")
                    served.append(lock.name)
                    await world.annotate(paths.node(node), {"hami.io/mutex.lock": None})

    serving = asyncio.ensure_future(plugin())
    pods = [await world.pod() for _ in range(50)]
    orders = [await order_for(world, pod, node) for pod in pods]
    outcomes = await asyncio.gather(*(binder.bind(order) for order in orders))
    assert outcomes == [Bound(node)] * 50

    async def free() -> bool:
        return await world.lock(node) is None

    await until(free, "the last lock is released")
    serving.cancel()
    assert served == [pod.name for pod in pods]


# -- refused before anything is written --------------------------------------------------------------------------


async def test_annotations_that_would_break_the_pod_are_not_written(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod(annotations={"users": "x" * 250 * 1024})
    order = await order_for(world, pod, node)
    order = replace(order, annotations={**order.annotations, TO_ALLOCATE: "y" * 7000})
    outcome = await binder_of(proxied).bind(order)
    assert isinstance(outcome, Rejected)
    assert outcome.why is Why.NOT_WRITABLE
    assert outcome.message.endswith("bytes, allowed are 262144")
    assert proxy.writes() == 0
    await world.set_phase(pod, "Pending")


async def test_annotations_that_just_fit_are_written_and_the_pod_stays_writable(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    used = sum(len(key) + len(value or "") for key, value in order.annotations.items())
    room = 262_144 - used - len(EPOCH) - 16 - len("users")
    await world.annotate(paths.pod("default", pod.name), {"users": "x" * room})
    order = await order_for(world, pod, node)
    assert await binder_of(client).bind(order) == Bound(node)
    assert isinstance(await fence(client, pod), PodOnNode)
    await world.set_phase(pod, "Running")


async def test_a_node_that_is_not_known_gets_no_pod(proxied: Client, proxy: FaultProxy, world: World) -> None:
    pod = await world.pod()
    unknown = Rejected(Why.NODE_GONE, "node no-such-node is not known")
    binder = Binder(proxied, NodeLocks(proxied), (1, 37), lambda _: unknown)
    assert await binder.bind(await order_for(world, pod, "no-such-node")) == unknown
    assert proxy.writes() == 0


async def test_a_node_that_changes_while_its_lock_is_waited_for_gets_no_pod(client: Client, world: World) -> None:
    node, holder, pod = await world.node(), await world.pod(), await world.pod()
    locks, changed = NodeLocks(client), Rejected(Why.NODE_CHANGED, "its card fell ill")
    said: list[Rejected | None] = [None, changed]
    binder = Binder(client, locks, (1, 37), lambda _: said.pop(0), 60)
    assert await locks.take(node, holder, 0) is Turn.TAKEN
    binding = asyncio.ensure_future(binder.bind(await order_for(world, pod, node)))
    await until(lambda: bool(locks.waiting()), "the pod waits for the lock")
    await locks.release(node, holder)
    assert await asyncio.wait_for(binding, 10) == changed
    assert await node_name(world, pod) is None
    assert await world.lock(node) is None


async def test_a_node_that_just_went_gets_no_pod(client: Client, world: World) -> None:
    pod = await world.pod()
    outcome = await binder_of(client).bind(await order_for(world, pod, "no-such-node"))
    assert outcome == Rejected(Why.NODE_GONE, "node no-such-node is gone")
    assert await node_name(world, pod) is None


async def test_a_busy_lock_leaves_the_pod_as_it_was(client: Client, world: World) -> None:
    node, first, second = await world.node(), await world.pod(), await world.pod()
    binder = binder_of(client)
    assert await binder.bind(await order_for(world, first, node)) == Bound(node)
    before = await world.read(second)
    outcome = await binder.bind(await order_for(world, second, node))
    assert outcome == Rejected(Why.LOCK_BUSY, f"node {node} has been locked within 5m0s")
    assert await world.read(second) == before


DSMLU = "cambricon.com/dsmlu.lock"


async def test_a_pod_of_two_families_takes_both_their_locks(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    assert await binder_of(client).bind(await order_for(world, pod, node, locks=(NODE_LOCK, DSMLU))) == Bound(node)
    assert {NODE_LOCK, DSMLU} <= set((await world.read_node(node)).annotations)


@pytest.mark.parametrize("busy", [NODE_LOCK, DSMLU])
async def test_when_one_of_two_locks_is_busy_the_other_is_given_back(client: Client, world: World, busy: str) -> None:
    node, first, second = await world.node(), await world.pod(), await world.pod()
    binder = binder_of(client)
    assert await binder.bind(await order_for(world, first, node, locks=(busy,))) == Bound(node)
    outcome = await binder.bind(await order_for(world, second, node, locks=(NODE_LOCK, DSMLU)))
    minutes = 5 if busy == NODE_LOCK else 2
    assert outcome == Rejected(Why.LOCK_BUSY, f"node {node} has been locked within {minutes}m0s")
    assert {NODE_LOCK, DSMLU} & set((await world.read_node(node)).annotations) == {busy}


# -- refused by the API server -----------------------------------------------------------------------------------


async def test_a_pod_that_changed_since_the_decision_is_decided_again(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    await world.annotate(paths.pod("default", pod.name), {"by": "another writer"})
    outcome = await binder_of(client).bind(order)
    assert isinstance(outcome, Rejected)
    assert outcome.why is Why.CHANGED
    assert outcome.pod == await world.read(pod)
    await assert_nothing_is_left(world, replace(order, present={"by": ""}))


async def test_a_pod_of_the_same_name_is_not_bound_in_its_place(client: Client, world: World) -> None:
    node, old = await world.node(), await world.pod()
    order = await order_for(world, old, node)
    await world.delete_pod(old)
    new = await world.pod(old.name)
    newest = (await world.read(new))["metadata"]["resourceVersion"]
    for version in (order.resource_version, newest):
        assert await binder_of(client).bind(replace(order, resource_version=version)) == Gone()
        await assert_nothing_is_left(world, replace(order, pod=new))


async def test_a_pod_that_is_gone_leaves_no_lock(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    await world.delete_pod(pod)
    assert await binder_of(client).bind(order) == Gone()
    assert await world.lock(node) is None


async def test_a_pod_that_is_being_deleted_is_not_bound(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod(finalizers=["example.org/wait"])
    await world.delete_pod(pod)
    order = await order_for(world, pod, node)
    assert await binder_of(client).bind(order) == Gone()
    await assert_nothing_is_left(world, order)
    await world.api.patch(paths.pod("default", pod.name), {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("same_node", [True, False])
async def test_a_pod_that_another_scheduler_bound_is_left_to_it(client: Client, world: World, same_node: bool) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    other = node if same_node else await world.node()
    await world.bind(pod, other)
    outcome = await binder_of(client).bind(order)
    assert isinstance(outcome, BoundElsewhere)
    assert outcome.node == other
    assert await world.lock(node) is None


async def test_a_refusal_that_says_nothing_about_the_pod_is_reported(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    proxy.fault(Kind.STATUS, "POST", "/binding", status=403)
    outcome = await binder_of(proxied).bind(order)
    assert isinstance(outcome, Rejected)
    assert (outcome.why, outcome.message[:3]) == (Why.REFUSED, "403")
    await assert_nothing_is_left(world, order)


async def test_a_conflict_with_our_own_request_sent_twice_is_a_success(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod()
    proxy.fault(Kind.STATUS_AFTER, "POST", "/binding", status=409)
    outcome = await binder_of(proxied).bind(await order_for(world, pod, node))
    assert isinstance(outcome, Bound)
    assert await world.lock(node) is not None


# -- not answered: fenced ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.CUT_AFTER, Kind.STATUS_AFTER])
async def test_a_binding_that_took_effect_without_an_answer_is_kept(
    proxied: Client, proxy: FaultProxy, world: World, kind: Kind
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    proxy.fault(kind, "POST", "/binding")
    outcome = await binder_of(proxied).bind(order)
    assert isinstance(outcome, Bound)
    bound = await world.read(pod)
    assert outcome.pod == bound
    assert bound["spec"]["nodeName"] == node
    assert bound["metadata"]["annotations"].items() >= order.annotations.items()
    assert await world.lock(node) is not None


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.STATUS])
async def test_a_binding_that_did_not_arrive_is_undone_after_a_fence(
    proxied: Client, proxy: FaultProxy, world: World, kind: Kind
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    proxy.fault(kind, "POST", "/binding")
    outcome = await binder_of(proxied).bind(order)
    assert isinstance(outcome, Rejected)
    assert outcome.why is Why.UNANSWERED
    assert outcome.pod is not None
    assert outcome.pod["metadata"]["annotations"][EPOCH]
    await assert_nothing_is_left(world, order)


async def test_a_binding_that_arrives_after_the_fence_fails(proxied: Client, proxy: FaultProxy, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    late = proxy.fault(Kind.LATE, "POST", "/binding")
    outcome = await binder_of(proxied).bind(order)
    assert isinstance(outcome, Rejected)
    assert outcome.why is Why.UNANSWERED
    late.release()
    await asyncio.wait_for(late.landed.wait(), 10)
    assert late.landed_status == 409
    await assert_nothing_is_left(world, order)


async def test_a_binding_that_arrives_before_the_fence_is_kept_and_so_is_its_lock(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    late = proxy.fault(Kind.LATE, "POST", "/binding")
    fencing = proxy.fault(Kind.HOLD, "PATCH", f"/pods/{pod.name}")
    binding = asyncio.ensure_future(binder_of(proxied).bind(order))
    await asyncio.wait_for(fencing.hit.wait(), 10)
    assert await world.lock(node) is not None
    late.release()
    await asyncio.wait_for(late.landed.wait(), 10)
    assert late.landed_status == 201
    fencing.release()
    outcome = await asyncio.wait_for(binding, 10)
    assert isinstance(outcome, Bound)
    assert await world.lock(node) is not None


@pytest.mark.parametrize("kinds", [(Kind.DROP, Kind.STATUS), (Kind.CUT_AFTER, Kind.CUT_AFTER, Kind.DROP)])
@pytest.mark.parametrize("landed", [True, False])
async def test_a_fence_is_tried_until_it_is_answered(
    proxied: Client, proxy: FaultProxy, world: World, kinds: tuple[Kind, ...], landed: bool
) -> None:
    node, pod = await world.node(), await world.pod()
    proxy.fault(Kind.CUT_AFTER if landed else Kind.DROP, "POST", "/binding")
    for kind in kinds:
        proxy.fault(kind, "PATCH", f"/pods/{pod.name}")
    outcome = await binder_of(proxied).bind(await order_for(world, pod, node))
    assert isinstance(outcome, Bound if landed else Rejected)
    assert (await node_name(world, pod), await world.lock(node) is not None) == (node if landed else None, landed)


async def test_a_pod_that_refuses_the_fence_is_fenced_by_its_changed_version(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    proxy.fault(Kind.DROP, "POST", "/binding")
    refusing: Fault = proxy.fault(Kind.STATUS, "PATCH", f"/pods/{pod.name}", times=None, status=403)
    binding = asyncio.ensure_future(binder_of(proxied).bind(order))
    await until(lambda: refusing.hits >= 2, "the fence is tried again")
    assert await world.lock(node) is not None
    assert not binding.done()
    await world.annotate(paths.pod("default", pod.name), {"by": "another writer"})
    outcome = await asyncio.wait_for(binding, 10)
    assert isinstance(outcome, Rejected)
    await assert_nothing_is_left(world, replace(order, present={"by": ""}))


async def test_a_pod_that_nobody_may_write_counts_as_fenced_when_no_request_can_be_under_way(
    proxied: Client, proxy: FaultProxy, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hami_operator.kube.fence.REQUEST_SECONDS", 0.5)
    pod = await world.pod()
    denied = proxy.fault(Kind.STATUS, "PATCH", f"/pods/{pod.name}", status=403, times=None)
    started = time.monotonic()
    assert isinstance(await asyncio.wait_for(fence(proxied, pod), 10), PodUnbound)
    assert time.monotonic() - started >= 0.5
    assert denied.hits > 1


async def test_a_fence_that_is_forbidden_for_a_moment_with_all_else_is_tried_again(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    pod = await world.pod()
    denied = proxy.fault(Kind.STATUS, "*", f"/pods/{pod.name}", status=403, times=4)
    assert isinstance(await asyncio.wait_for(fence(proxied, pod), 10), PodUnbound)
    assert denied.hits == 4
    assert EPOCH in (await world.read(pod))["metadata"]["annotations"]


async def test_a_pod_without_room_for_an_epoch_needs_no_fence(client: Client, world: World) -> None:
    pod = await world.pod(annotations={"filler": "x" * 262_130})
    assert isinstance(await asyncio.wait_for(fence(client, pod), 10), PodUnbound)


async def test_a_patch_before_the_binding_without_an_answer_is_fenced_too(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    proxy.fault(Kind.DROP, "PATCH", f"/pods/{pod.name}")
    outcome = await binder_of(proxied, (1, 34)).bind(order)
    assert isinstance(outcome, Rejected)
    assert outcome.why is Why.UNANSWERED
    await assert_nothing_is_left(world, order)


async def test_a_leader_that_lost_the_lease_writes_nothing_more(client: Client, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    order = await order_for(world, pod, node)
    asked = 0

    def lost_once_locked(_: Order) -> None:
        nonlocal asked
        asked += 1

    guarded = client.guarded(lambda: asked < 2)
    with pytest.raises(NotLeading):
        await Binder(guarded, NodeLocks(guarded), (1, 37), lost_once_locked, 0.0).bind(order)
    assert await node_name(world, pod) is None
    assert await world.lock(node) is not None


async def test_the_next_leader_takes_over_what_the_last_one_left(client: Client, world: World) -> None:
    node, left, pod = await world.node(), await world.pod(), await world.pod()
    locked = binder_of(client)._locks
    assert (await locked.take(node, left, 0)).value == "taken"
    assert isinstance(await fence(client, left), PodUnbound)
    assert await binder_of(client).bind(await order_for(world, pod, node)) == Bound(node)


async def test_pods_in_hand_are_known_while_they_are_bound(proxied: Client, proxy: FaultProxy, world: World) -> None:
    node, pod = await world.node(), await world.pod()
    binder = binder_of(proxied)
    holding = proxy.fault(Kind.HOLD, "POST", "/binding")
    binding = asyncio.ensure_future(binder.bind(await order_for(world, pod, node)))
    await asyncio.wait_for(holding.hit.wait(), 10)
    assert binder.in_hand == {pod.uid}
    holding.release()
    assert await binding == Bound(node)
    assert binder.in_hand == frozenset()


# -- fencing pods whose Binding nobody remembers -----------------------------------------------------------------


async def test_a_fence_tells_where_the_pod_stands(client: Client, world: World) -> None:
    node, pending, bound, gone = await world.node(), await world.pod(), await world.pod(), await world.pod()
    await world.bind(bound, node)
    await world.delete_pod(gone)
    recreated = await world.pod(gone.name)
    assert isinstance(await fence(client, pending), PodUnbound)
    on_node = await fence(client, bound)
    assert isinstance(on_node, PodOnNode)
    assert on_node.node == node
    assert await fence(client, gone) == PodAbsent()
    assert EPOCH not in ((await world.read(recreated))["metadata"].get("annotations") or {})


async def test_every_fence_changes_the_version(client: Client, world: World) -> None:
    pod = await world.pod()
    versions = set()
    for _ in range(3):
        found = await fence(client, pod)
        assert isinstance(found, PodUnbound)
        versions.add(found.pod["metadata"]["resourceVersion"])
    assert len(versions) == 3
