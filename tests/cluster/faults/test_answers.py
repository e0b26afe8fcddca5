"""Answers that never come: what had its effect is found out, what had none is done again, nothing is done twice."""

from __future__ import annotations

import pytest

from tests.cluster.whole.stage import container
from tests.faultproxy import Kind

from .stage import T4_MIB, FaultStage, direct_only, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

MOST = container(gpu=1, mem=T4_MIB - 1000)


@pytest.mark.parametrize("kind", [Kind.CUT_AFTER, Kind.STATUS_AFTER], ids=["cut", "503"])
async def test_a_binding_that_landed_without_an_answer_stands(stage: FaultStage, kind: Kind) -> None:
    (node,) = await stage.nodes("t4:1")
    binding = stage.at_binding(kind, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.running("p")
    assert binding.hits == stage.bindings("p") == 1
    await stage.event("p", "BindingSucceed")


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.STATUS], ids=["cut", "503"])
async def test_a_binding_that_never_arrived_is_fenced_and_made_again(stage: FaultStage, kind: Kind) -> None:
    (node,) = await stage.nodes("t4:1")
    stage.at_binding(kind, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.running("p")
    assert stage.bindings("p") == 2
    await stage.event("p", "BindingFailed")


async def test_a_binding_that_arrives_after_its_fence_is_refused(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    late = stage.at_binding(Kind.LATE, "p")
    again = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await again.hit.wait()
    late.release()
    await late.landed.wait()
    assert late.landed_status == 409
    again.release()
    await stage.running("p")


async def test_a_binding_that_arrives_between_its_cut_and_the_fence_counts(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    late = stage.at_binding(Kind.LATE, "p")
    fence = stage.at_fence(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await fence.hit.wait()
    late.release()
    await late.landed.wait()
    assert late.landed_status == 201
    fence.release()
    await stage.running("p")
    assert stage.bindings("p") == 1


async def test_while_the_fence_gets_no_answer_the_card_is_promised_to_nobody_else(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    stage.at_binding(Kind.DROP, "p")
    stage.at_fence(Kind.CUT_AFTER, "p", times=2)
    fence = stage.at_fence(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await fence.hit.wait()
    await stage.create("second", MOST, nodeSelector=on(node))
    await stage.refused("second", "CardInsufficientMemory")
    assert [held["pod"] for held in (await stage.ledger())["assumed"]] == [f"{stage.namespace}/p"]


@pytest.mark.parametrize("kind", [Kind.CUT_AFTER, Kind.DROP, Kind.STATUS], ids=["landed", "lost", "503"])
async def test_a_lock_patch_without_an_answer_is_looked_up(stage: FaultStage, kind: Kind) -> None:
    (node,) = await stage.nodes("t4:1")
    stage.at_lock(kind, node)
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.running("p")


async def test_a_release_without_an_answer_is_done_again(stage: FaultStage) -> None:
    """The pod is deleted before its Binding, and then the release of its lock fails twice."""
    (node,) = await stage.nodes("t4:1")
    binding = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await binding.hit.wait()
    release = stage.at_lock(Kind.DROP, node, times=2)
    await stage.remove("p")
    binding.release()
    await release.hit.wait()
    await stage.unlocked(node.name)


@direct_only
async def test_a_condition_without_an_answer_is_told_in_the_end(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    fault = stage.proxy.fault(Kind.DROP, "PATCH", "/pods/p/status$")
    await stage.create("p", container(gpu=1, mem=T4_MIB + 1), nodeSelector=on(node))
    await fault.hit.wait()
    await stage.refused("p", "CardInsufficientMemory")


@direct_only
async def test_a_condition_that_arrives_late_says_nothing_about_a_bound_pod(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("first", MOST, nodeSelector=on(node))
    await stage.running("first")
    late = stage.proxy.fault(Kind.HOLD, "PATCH", "/pods/p/status$")
    await stage.create("p", MOST, nodeSelector=on(node))
    await late.hit.wait()
    await stage.remove("first")
    await stage.running("p")
    late.release()
    await late.landed.wait()
    conditions = {c["type"]: c["status"] for c in (await stage.pod("p"))["status"]["conditions"]}
    assert conditions["PodScheduled"] == "True"


@pytest.mark.parametrize("status", [0, 403, 500], ids=["silence", "403", "500"])
async def test_an_api_server_that_is_of_no_use_for_a_while_is_waited_for(stage: FaultStage, status: int) -> None:
    """One that has just started forbids everything until it has read its roles."""
    (node,) = await stage.nodes("t4:1")
    binding = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await binding.hit.wait()
    kind = Kind.STATUS if status else Kind.DROP
    stage.proxy.fault(kind, "*", "^/api", status=status, times=None)
    stage.proxy.cut_watches()
    binding.drop()
    await stage.create("q", container(gpu=1, mem=500), nodeSelector=on(node))
    await stage.not_leading()
    stage.proxy.clear()
    await stage.running("p")
    await stage.running("q")
