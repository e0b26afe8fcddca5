"""News that comes late, out of order or never: what the API server has wins in the end, and nothing rises again."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.whole.stage import container
from tests.faultproxy import Kind

from .stage import T4_MIB, FaultStage, on, stopped

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

PODS = "^/api/v1/pods$"
MOST = container(gpu=1, mem=T4_MIB - 1000)


async def test_a_bound_pod_holds_its_card_while_no_news_of_pods_comes(stage: FaultStage) -> None:
    """The 201 alone tells that it is bound; the old ADDED and MODIFIED that come later take nothing away."""
    (node,) = await stage.nodes("t4:1")
    binding = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await binding.hit.wait()
    late = stage.proxy.censor(PODS)
    await stage.annotate(f"/api/v1/namespaces/{stage.namespace}/pods/p", {"mine": None})
    binding.release()
    await stage.running("p")
    await stage.delete("p")
    await stage.gone("p")
    assert (await stage.ledger())["nodes"][node.name], "nobody told that it is gone"
    await stage.create("q", MOST, nodeSelector=on(node))
    await late.met.wait()
    late.release()
    await stage.running("q")


async def test_watches_that_break_are_taken_up_where_they_broke(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.running("p")
    again = stage.proxy.fault(Kind.HOLD, "GET", PODS)
    stage.proxy.cut_watches()
    await again.hit.wait()
    await stage.remove("p")
    await stage.create("q", MOST, nodeSelector=on(node))
    again.release()
    await stage.running("q")


async def test_a_watch_that_is_too_far_behind_lists_anew_and_misses_no_deletion(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.running("p")
    again = stage.proxy.fault(Kind.HOLD, "GET", PODS)
    expired = stage.proxy.fault(Kind.EXPIRE, "GET", PODS)
    stage.proxy.cut_watches()
    await again.hit.wait()
    await stage.remove("p")
    again.drop()
    await expired.hit.wait()
    await stage.create("q", MOST, nodeSelector=on(node))
    await stage.running("q")


async def test_etcd_that_stands_still_for_a_while_is_waited_for(stage: FaultStage) -> None:
    nodes = await stage.nodes("t4:1x2")
    await stage.create("before", MOST, nodeSelector=on(nodes[0]))
    await stage.create("p", MOST, nodeSelector=on(nodes[1]))
    with stopped(stage.component("etcd")):
        await stage.not_leading()
    await asyncio.gather(stage.running("before", 60), stage.running("p", 60))


async def test_the_lease_lost_in_the_middle_of_a_binding_leaves_nothing_behind(stage: FaultStage) -> None:
    """The same process leads again: what it had in hand is fenced, and decided anew."""
    nodes = await stage.nodes("t4:1x3")
    held = [
        stage.at_lock(Kind.HOLD, nodes[0]),
        stage.at_binding(Kind.HOLD, "p1"),
        stage.at_binding(Kind.HOLD_ANSWER, "p2"),
    ]
    lease = stage.proxy.fault(Kind.HOLD, "*", "/leases/hami-operator$", times=None)
    for number, node in enumerate(nodes):
        await stage.create(f"p{number}", MOST, nodeSelector=on(node))
    await asyncio.gather(*(fault.hit.wait() for fault in held))
    await stage.not_leading()
    for fault in held:
        fault.drop()
    stage.proxy.clear()
    assert lease.hits
    for number, node in enumerate(nodes):
        pod = await stage.running(f"p{number}")
        assert pod["spec"]["nodeName"] == node.name
