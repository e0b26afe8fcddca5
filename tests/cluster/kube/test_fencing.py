"""The fences of a new leader: all answered, or none of them under way any more."""

from __future__ import annotations

import asyncio
import time

import pytest

from hami_operator.config import Settings
from hami_operator.core.model import Allocation, PodKey, Share
from hami_operator.core.objects import read_pod
from hami_operator.core.protocol import EPOCH
from hami_operator.fencing import fence_pending
from hami_operator.handlers.pods import on_pod_event
from hami_operator.kube import paths
from hami_operator.kube.client import Client
from hami_operator.kube.errors import NotLeading
from hami_operator.live import empty_cluster
from hami_operator.queue import Queue
from hami_operator.world import World as Operator
from tests.cluster.kube.conftest import World, until
from tests.faultproxy import FaultProxy, Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]


async def operator(world: World, *pods: PodKey) -> Operator:
    """What the operator knows when it has seen these pods."""
    made = Operator("hami-scheduler", empty_cluster(Settings()), Queue(), time.time)
    for pod in pods:
        on_pod_event(made, await world.read(pod), gone=False)
    return made


async def reserve(world: World, known: Operator, pod: PodKey) -> None:
    allocation = Allocation({"NVIDIA": ((Share("GPU-a", "NVIDIA", 1000, 10),),)})
    known.cluster.ledger.assume(read_pod(await world.read(pod)), "n1", allocation)


async def test_every_pending_pod_is_fenced_and_every_reservation_settled(client: Client, world: World) -> None:
    waiting, in_flight, bound, deleted = [await world.pod() for _ in range(4)]
    known = await operator(world, waiting, in_flight, bound, deleted)
    for pod in (in_flight, bound, deleted):
        await reserve(world, known, pod)
    node = await world.node()
    await world.bind(bound, node)
    await world.delete_pod(deleted)
    while known.queue.take(0.0) is not None:  # they are in flight, as when the lease was lost
        pass
    await fence_pending(known, client)
    for pod in (waiting, in_flight):
        assert EPOCH in (await world.read(pod))["metadata"]["annotations"]
    assert [record.key for record in known.cluster.ledger.records() if record.node] == [bound]
    assert known.cluster.ledger.usage(node).pods.keys() == {bound.uid}
    assert {pod.key for pod in known.queue.pods()} == {waiting, in_flight}
    assert {known.queue.take(0.0) is not None for _ in range(2)} == {True}, "both are ready again"
    assert known.cluster.ledger.audit() == []


async def test_a_fence_that_is_answered_after_the_lease_was_lost_settles_nothing(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    slow, failing = await world.pod(), await world.pod()
    known = await operator(world, slow, failing)
    held = proxy.fault(Kind.HOLD, "PATCH", paths.pod("default", slow.name))
    proxy.fault(Kind.STATUS, "PATCH", paths.pod("default", failing.name), times=None)
    leads = True
    fencing = asyncio.ensure_future(fence_pending(known, proxied.guarded(lambda: leads)))
    await asyncio.wait_for(held.hit.wait(), 10)
    await until(lambda: proxy.count("PATCH", failing.name) > 0, "the other fence fails")
    leads = False
    with pytest.raises(NotLeading):
        await asyncio.wait_for(fencing, 10)
    await reserve(world, known, slow)  # the next term has decided
    held.release()
    await asyncio.wait_for(held.landed.wait(), 10)
    on_pod_event(known, await world.read(failing), gone=False)
    assert [record.key for record in known.cluster.ledger.records() if record.assumed] == [slow]
