"""A pod deleted at each step between reserving and success: its reservation and its lock go with it."""

from __future__ import annotations

import pytest

from hami_operator.sandbox import Node
from tests.cluster.whole.stage import container, until
from tests.faultproxy import Kind

from .stage import T4_MIB, FaultStage, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

#: More than half a card: a second pod of it fits only when nothing is left of the first.
MOST = container(gpu=1, mem=T4_MIB - 1000)


async def the_card_is_free(stage: FaultStage, node: Node) -> None:
    """Another pod gets the card that the deleted one was promised."""
    await stage.create("next", MOST, nodeSelector=on(node))
    await stage.running("next")


@pytest.mark.parametrize("kind", [Kind.HOLD, Kind.HOLD_ANSWER], ids=["before-the-lock", "with-the-lock"])
async def test_deleted_while_its_lock_is_taken(stage: FaultStage, kind: Kind) -> None:
    (node,) = await stage.nodes("t4:1")
    lock = stage.at_lock(kind, node)
    await stage.create("p", MOST, nodeSelector=on(node))
    await lock.hit.wait()
    await stage.remove("p")
    await stage.unreserved()
    lock.release()
    await stage.unlocked(node.name)
    await the_card_is_free(stage, node)


async def test_deleted_while_it_waits_for_the_lock(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await node.slow(1.5)
    await stage.create("first", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.bound("first")
    await stage.create("p", container(gpu=1, mem=T4_MIB - 2000), nodeSelector=on(node))
    await stage.event("p", "NodeLocked")
    await stage.remove("p")
    await stage.unreserved()
    await node.well()
    await stage.create("next", container(gpu=1, mem=T4_MIB - 1000), nodeSelector=on(node))
    await stage.running("next")
    assert stage.bindings("p") == 0


async def test_deleted_before_its_binding_arrives(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    binding = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await binding.hit.wait()
    await stage.remove("p")
    await stage.unreserved()
    binding.release()
    await stage.unlocked(node.name)
    await the_card_is_free(stage, node)


async def test_deleted_after_its_binding_and_before_the_answer(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    binding = stage.at_binding(Kind.HOLD_ANSWER, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await binding.landed.wait()
    assert binding.landed_status == 201
    await stage.running("p")
    await stage.remove("p")
    await stage.unreserved()
    binding.release()
    await the_card_is_free(stage, node)


async def test_deleted_while_its_doubtful_binding_is_fenced(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    binding = stage.at_binding(Kind.LATE, "p")
    fence = stage.at_fence(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await fence.hit.wait()
    await stage.remove("p")
    fence.release()
    await the_card_is_free(stage, node)
    binding.release()
    await binding.landed.wait()
    assert binding.landed_status == 404


@pytest.mark.parametrize("grace", [0, 2])
async def test_deleted_while_its_plugin_allocates(stage: FaultStage, hollow: Node, grace: int) -> None:
    await hollow.slow(1.0)
    most = container(gpu=2, mem=24000)
    await stage.create("p", most, nodeSelector=on(hollow), terminationGracePeriodSeconds=grace)
    await stage.bound("p")
    await stage.sandbox.kubectl("delete", "pod", "p", f"--namespace={stage.namespace}", "--wait=false")
    await stage.gone("p")
    await hollow.well()
    await stage.create("next", most, nodeSelector=on(hollow))
    await stage.running("next")


async def test_deleted_while_it_fits_nowhere(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("p", container(gpu=1, mem=T4_MIB + 1), nodeSelector=on(node))
    await stage.refused("p", "CardInsufficientMemory")
    await stage.remove("p")

    async def nobody_waits() -> bool:
        return await stage.metric("hami_operator_queue_pods") == 0

    await until("the queue is empty", nobody_waits)
