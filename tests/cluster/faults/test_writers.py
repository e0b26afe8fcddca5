"""Others who write the same pods and nodes while we bind: nothing is overwritten, and the decision is made anew."""

from __future__ import annotations

import asyncio

import pytest

from hami_operator.core import protocol
from hami_operator.sandbox.api import node_path, pod_path
from tests.cluster.whole.stage import container, until
from tests.faultproxy import Kind

from .stage import ALLOCATED, T4_MIB, TO_ALLOCATE, FaultStage, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

MOST = container(gpu=1, mem=T4_MIB - 1000)


async def test_a_pod_that_changes_between_decision_and_binding_is_decided_anew(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:2")
    binding = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(node))
    await binding.hit.wait()
    wanted = node.cards[0].uuid
    await stage.annotate(pod_path(stage.namespace, "p"), {"nvidia.com/use-gpuuuid": wanted})
    binding.release()
    pod = await stage.running("p")
    assert stage.bindings("p") == 2
    assert pod["metadata"]["annotations"][ALLOCATED].startswith(wanted)


async def test_a_pod_that_another_scheduler_binds_first_gives_our_reservation_back(stage: FaultStage) -> None:
    ours, theirs = await stage.nodes("t4:1x2")
    await theirs.kill_plugin()
    binding = stage.at_binding(Kind.HOLD, "p")
    await stage.create("p", MOST, nodeSelector=on(ours))
    await binding.hit.wait()
    target = {"apiVersion": "v1", "kind": "Node", "name": theirs.name}
    await stage.api.post(f"{pod_path(stage.namespace, 'p')}/binding", {"metadata": {"name": "p"}, "target": target})
    binding.release()
    await stage.create("next", MOST, nodeSelector=on(ours))
    await stage.running("next")
    assert (await stage.pod("p"))["spec"]["nodeName"] == theirs.name


async def test_a_pod_that_another_scheduler_allocated_is_counted_by_its_annotations(stage: FaultStage) -> None:
    """As HAMi's own scheduler binds: without our record, by the vendor's keys alone."""
    (node,) = await stage.nodes("t4:1")
    await stage.create("theirs", MOST, nodeSelector=on(node), schedulerName="their-scheduler")
    text = f"{node.cards[0].uuid},NVIDIA,{T4_MIB - 1000},10:;"
    annotations = {protocol.POD_NODE: node.name, ALLOCATED: text, TO_ALLOCATE: text, **_binding_keys()}
    metadata = {"name": "theirs", "annotations": annotations}
    target = {"apiVersion": "v1", "kind": "Node", "name": node.name}
    await stage.api.post(f"{pod_path(stage.namespace, 'theirs')}/binding", {"metadata": metadata, "target": target})
    await stage.running("theirs")
    await stage.create("ours", MOST, nodeSelector=on(node))
    await stage.refused("ours", "CardInsufficientMemory")


def _binding_keys() -> dict[str, str]:
    return {protocol.BIND_PHASE: "allocating", protocol.BIND_TIME: "1760000000", protocol.POD_TIME: "1760000000"}


async def test_a_pod_of_another_whose_allocation_is_unreadable_closes_its_node_until_it_is_gone(
    stage: FaultStage,
) -> None:
    (node,) = await stage.nodes("t4:2")
    await node.slow(60)  # it stays Pending on its node
    await stage.create("theirs", container(gpu=1, mem=1000), nodeSelector=on(node), schedulerName="their-scheduler")
    annotations = {protocol.POD_NODE: node.name, ALLOCATED: "GPU-?,NVIDIA,lots,10:;"}
    target = {"apiVersion": "v1", "kind": "Node", "name": node.name}
    body = {"metadata": {"name": "theirs", "annotations": annotations}, "target": target}
    await stage.api.post(f"{pod_path(stage.namespace, 'theirs')}/binding", body)
    event = await stage.event("theirs", "AllocationUnreadable")
    assert "memory 'lots' is not an integer" in event["note"]
    await stage.create("ours", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.refused("ours", "NodeQuarantined")
    assert list((await stage.ledger())["quarantined"]) == [node.name]
    await stage.remove("ours")
    await stage.remove("theirs")

    async def open_again() -> bool:
        return not (await stage.ledger())["quarantined"]

    await until("the node is open again", open_again)


async def test_writers_of_the_node_do_not_disturb_its_lock(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    names = [f"p{number}" for number in range(6)]

    async def write() -> None:
        for number in range(30):
            await stage.annotate(node_path(node.name), {"beat": str(number)})

    making = (stage.create(name, container(gpu=1, mem=2000), nodeSelector=on(node)) for name in names)
    await asyncio.gather(write(), *making)
    await asyncio.gather(*(stage.running(name) for name in names))
    assert [stage.bindings(name) for name in names] == [1] * len(names)


@pytest.mark.parametrize("step", ["lock", "binding", "answer"])
async def test_a_pod_created_anew_under_the_same_name_is_another_pod(stage: FaultStage, step: str) -> None:
    (node,) = await stage.nodes("t4:1")
    fault = {
        "lock": lambda: stage.at_lock(Kind.HOLD, node),
        "binding": lambda: stage.at_binding(Kind.HOLD, "p"),
        "answer": lambda: stage.at_binding(Kind.HOLD_ANSWER, "p"),
    }[step]()
    old = await stage.create("p", MOST, nodeSelector=on(node))
    await (fault.landed if step == "answer" else fault.hit).wait()
    await stage.delete("p")
    await stage.gone("p", old["metadata"]["uid"])
    new = await stage.create("p", container(gpu=1, mem=T4_MIB - 2000), nodeSelector=on(node))
    fault.release()
    pod = await stage.running("p")
    assert pod["metadata"]["uid"] == new["metadata"]["uid"]
    assert f",NVIDIA,{T4_MIB - 2000}," in pod["metadata"]["annotations"][ALLOCATED]
