"""A node lock of every history (protocol 5.2): taken over at once, waited for, or taken by force, and never lost."""

from __future__ import annotations

import time

import pytest

from hami_operator.core import protocol
from hami_operator.sandbox import Node
from hami_operator.sandbox.api import node_path, pod_path
from tests.cluster.whole.stage import container

from .stage import T4_MIB, FaultStage, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

#: The lock's expiry, seconds (the default of HAMi).
EXPIRY = 300.0
SMALL = container(gpu=1, mem=1000)


async def lock(stage: FaultStage, node: Node, value: str) -> None:
    await stage.annotate(node_path(node.name), {protocol.NODE_LOCK: value})


def held_by(stage: FaultStage, name: str, age: float = 0.0) -> str:
    return protocol.format_lock(time.time() - age, stage.namespace, name)


async def holder(stage: FaultStage, node: Node, phase: str) -> None:
    """A pod of another scheduler on this node, bound without any allocation, in a bind phase."""
    await stage.create("holder", container(cpu="10m"), schedulerName="their-scheduler")
    target = {"apiVersion": "v1", "kind": "Node", "name": node.name}
    metadata = {"name": "holder", "annotations": {protocol.BIND_PHASE: phase, protocol.POD_NODE: node.name}}
    await stage.api.post(f"{pod_path(stage.namespace, 'holder')}/binding", {"metadata": metadata, "target": target})
    await stage.running("holder")


async def placed(stage: FaultStage, node: Node) -> None:
    await stage.create("p", SMALL, nodeSelector=on(node))
    await stage.running("p")


async def waits_until_unlocked(stage: FaultStage, node: Node, value: str) -> None:
    """The pod waits and says so; nobody touches the lock; it is placed when the lock goes."""
    await stage.create("p", SMALL, nodeSelector=on(node))
    event = await stage.event("p", "NodeLocked")
    assert f"node {node.name} has been locked within 5m0s" in event["note"]
    assert await stage.lock(node.name) == value
    assert stage.bindings("p") == 0
    await stage.annotate(node_path(node.name), {protocol.NODE_LOCK: None})
    await stage.running("p")


@pytest.mark.parametrize("value", ["", "nonsense", "2025-13-45T99:00:00Z,default,p", "2025-10-01T08:00:00Z,only-two"])
async def test_an_unreadable_lock_is_taken_by_force(stage: FaultStage, value: str) -> None:
    (node,) = await stage.nodes("t4:1")
    await lock(stage, node, value)
    await placed(stage, node)
    await stage.event("p", "NodeLockForced")


async def test_a_lock_of_a_pod_that_is_gone_is_taken(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await lock(stage, node, held_by(stage, "nobody", age=10))
    await placed(stage, node)


async def test_a_lock_of_a_pod_that_has_ended_is_taken(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await holder(stage, node, "allocating")
    await node.exit(f"{stage.namespace}/holder", "main")
    await stage.phase("holder", "Succeeded")
    await lock(stage, node, held_by(stage, "holder"))
    await placed(stage, node)


async def test_a_lock_of_a_pod_that_its_plugin_failed_is_taken(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await holder(stage, node, "failed")
    await lock(stage, node, held_by(stage, "holder"))
    await placed(stage, node)


async def test_a_lock_of_a_pod_on_another_node_is_taken(stage: FaultStage) -> None:
    node, elsewhere = await stage.nodes("t4:1x2")
    await holder(stage, elsewhere, "allocating")
    await lock(stage, node, held_by(stage, "holder"))
    await placed(stage, node)


async def test_a_lock_of_the_pod_itself_is_taken_again(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await lock(stage, node, held_by(stage, "p"))
    await placed(stage, node)


async def test_a_lock_of_our_own_pod_that_fits_nowhere_is_taken(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("loose", container(gpu=1, mem=T4_MIB + 1), nodeSelector=on(node))
    await stage.refused("loose", "CardInsufficientMemory")
    await lock(stage, node, held_by(stage, "loose"))
    await placed(stage, node)


async def test_a_lock_of_the_old_form_holds_until_it_expires(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    value = held_by(stage, "x").split(",", maxsplit=1)[0]
    await lock(stage, node, value)
    await waits_until_unlocked(stage, node, value)


async def test_an_expired_lock_of_the_old_form_is_taken(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await lock(stage, node, held_by(stage, "x", EXPIRY + 1).split(",", maxsplit=1)[0])
    await placed(stage, node)


@pytest.mark.parametrize(
    ("phase", "age"),
    [("success", 0.0), ("allocating", 0.0), ("allocating", EXPIRY + 60)],
    ids=["not-allocating", "allocating", "allocating-and-expired"],
)
async def test_a_lock_of_a_running_pod_of_others_is_waited_for(stage: FaultStage, phase: str, age: float) -> None:
    (node,) = await stage.nodes("t4:1")
    await holder(stage, node, phase)
    value = held_by(stage, "holder", age)
    await lock(stage, node, value)
    await waits_until_unlocked(stage, node, value)


async def test_an_expired_lock_of_a_pod_that_does_not_allocate_is_taken(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await holder(stage, node, "success")
    await lock(stage, node, held_by(stage, "holder", EXPIRY + 1))
    await placed(stage, node)


async def test_a_lock_of_twice_the_expiry_is_taken_by_force_even_from_a_pod_that_allocates(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await holder(stage, node, "allocating")
    await lock(stage, node, held_by(stage, "holder", 2 * EXPIRY + 1))
    await placed(stage, node)
    await stage.event("p", "NodeLockForced")
