"""The operator killed with ``kill -9`` at each step of a Binding, and started again: each pod is bound once."""

from __future__ import annotations

import asyncio

import pytest

from hami_operator.sandbox import Node
from tests.cluster.whole.stage import Json, container
from tests.faultproxy import Kind

from .stage import ALLOCATED, T4_MIB, FaultStage, direct_only, on, stopped

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

#: Two of them never fit on one card.
MOST = container(gpu=1, mem=T4_MIB - 1000)


async def has_the_card(stage: FaultStage, name: str, node: Node) -> Json:
    pod = await stage.running(name)
    assert pod["metadata"]["annotations"][ALLOCATED].startswith(f"{node.cards[0].uuid},NVIDIA,{T4_MIB - 1000},")
    return pod


async def test_killed_with_a_pod_at_each_step_from_lock_to_answer(stage: FaultStage) -> None:
    nodes = await stage.nodes("t4:1x5")
    held = [
        stage.at_lock(Kind.HOLD, nodes[0]),
        stage.at_lock(Kind.HOLD_ANSWER, nodes[1]),
        stage.at_binding(Kind.HOLD, "p2"),
        stage.at_binding(Kind.HOLD_ANSWER, "p3"),
        stage.at_binding(Kind.HOLD, "p4"),
    ]
    for number, node in enumerate(nodes):
        await stage.create(f"p{number}", MOST, nodeSelector=on(node))
    for fault in held:
        await (fault.landed if fault.kind is Kind.HOLD_ANSWER else fault.hit).wait()
    await stage.kill()
    for fault in held:
        fault.drop()
    await stage.remove("p4")  # its lock is nobody's now
    await stage.start()
    for number, node in enumerate(nodes[:4]):
        await has_the_card(stage, f"p{number}", node)
    assert [stage.bindings(f"p{number}") for number in range(5)] == [1, 1, 2, 1, 1]
    await asyncio.gather(*(stage.create(f"second{n}", MOST, nodeSelector=on(node)) for n, node in enumerate(nodes)))
    await asyncio.gather(*(stage.refused(f"second{number}", "CardInsufficientMemory") for number in range(4)))
    await has_the_card(stage, "second4", nodes[4])


@direct_only
async def test_bindings_of_a_killed_operator_count_before_the_fence_and_are_refused_after_it(stage: FaultStage) -> None:
    early, late = await stage.nodes("t4:1x2")
    bindings = [stage.at_binding(Kind.LATE, name) for name in ("early", "late")]
    fences = [stage.at_fence(Kind.HOLD, name) for name in ("early", "late")]
    await stage.create("early", MOST, nodeSelector=on(early))
    await stage.create("late", MOST, nodeSelector=on(late))
    await asyncio.gather(*(fence.hit.wait() for fence in fences))
    await stage.kill()
    for fence in fences:
        fence.drop()
    again = stage.at_fence(Kind.HOLD, "early")
    await stage.start()
    await again.hit.wait()
    await stage.create("second", MOST, nodeSelector=on(early))
    bindings[0].release()
    await bindings[0].landed.wait()
    assert bindings[0].landed_status == 201
    again.release()
    await has_the_card(stage, "late", late)
    bindings[1].release()
    await bindings[1].landed.wait()
    assert bindings[1].landed_status == 409
    await has_the_card(stage, "early", early)
    await stage.refused("second", "CardInsufficientMemory")


async def test_killed_while_plugins_allocate_and_pods_wait_for_locks(stage: FaultStage, hollow: Node) -> None:
    await hollow.slow(0.5)
    (node,) = await stage.nodes("t4:1")
    await node.slow(0.5)
    names = [f"p{number}" for number in range(8)]
    for number, name in enumerate(names):
        await stage.create(name, container(gpu=1, mem=1500), nodeSelector=on((hollow, node)[number % 2]))
    await asyncio.gather(stage.bound("p0"), stage.bound("p1"))
    await stage.restart()
    await asyncio.gather(*(stage.running(name) for name in names))
    assert [stage.bindings(name) for name in names[:2]] == [1, 1]
    await hollow.well()


async def test_a_leader_killed_while_pods_come_and_go_is_followed_by_the_one_that_stands_by(stage: FaultStage) -> None:
    nodes = await stage.nodes("t4:1x3")
    leader = stage.operator
    await stage.start()
    for number in range(2):
        names = [f"p{number}-{index}" for index in range(6)]
        places = zip(names, [*nodes, *nodes], strict=True)
        small = container(gpu=1, mem=4000)
        await asyncio.gather(*(stage.create(name, small, nodeSelector=on(node)) for name, node in places))
        if number == 0:
            stage.installation.kill(leader)  # its lease runs out
            await asyncio.gather(*(stage.delete(name) for name in names[:3]))
    await stage.leading()


@direct_only
async def test_a_leader_that_stood_still_while_another_leads_does_no_harm(stage: FaultStage) -> None:
    early, late = await stage.nodes("t4:1x2")
    leader = stage.operator
    await stage.start()
    held = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(early))
    await held.hit.wait()
    with stopped(leader.pid):
        await has_the_card(stage, "p", early)
        await stage.create("waits", MOST, nodeSelector=on(early))
        await stage.refused("waits", "CardInsufficientMemory")
    held.release()
    await held.landed.wait()
    assert held.landed_status == 409
    await stage.create("q", MOST, nodeSelector=on(late))
    await has_the_card(stage, "q", late)
    assert stage.bindings("q") == 1
    stage.installation.kill(leader)
