"""Nodes and cards that go, plugins that are slow, dead or failing: pods run elsewhere, wait with a reason, or go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hami_operator.core import protocol
from hami_operator.sandbox import Node
from hami_operator.sandbox.api import node_path
from hami_operator.sandbox.errors import ApiError
from tests.cluster.whole.stage import Json, container, until
from tests.faultproxy import Kind

from .stage import ALLOCATED, T4_MIB, FaultStage, among, direct_only, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

MOST = container(gpu=1, mem=T4_MIB - 1000)
REGISTER = "hami.io/node-nvidia-register"


# -- nodes -------------------------------------------------------------------------------------------------------------


@direct_only  # which of two equal nodes it is, kube-scheduler leaves to chance
async def test_a_node_that_goes_while_its_lock_is_taken_is_left_for_another(stage: FaultStage) -> None:
    first, other = await stage.nodes("t4:1x2")
    lock = stage.at_lock(Kind.HOLD, first)
    await stage.create("p", MOST, affinity=among(first, other))
    await lock.hit.wait()
    await stage.sandbox.remove(first.name)
    lock.release()
    pod = await stage.running("p")
    assert pod["spec"]["nodeName"] == other.name


@direct_only
async def test_a_node_that_goes_while_pods_wait_for_its_lock_sends_them_elsewhere(stage: FaultStage) -> None:
    (first,) = await stage.nodes("t4:1")
    await first.slow(60)
    await stage.create("holder", container(gpu=1, mem=1000), nodeSelector=on(first))
    await stage.bound("holder")
    names = [f"p{number}" for number in range(3)]
    for name in names:
        await stage.create(name, container(gpu=1, mem=1000), nodeSelector=on(first))
        await stage.event(name, "NodeLocked")
    await stage.sandbox.remove(first.name)
    await asyncio.gather(*(stage.refused(name, "no available node") for name in names))
    await stage.delete("holder")
    (again,) = await stage.nodes("t4:1")
    assert again.name == first.name, "a node of the same name"
    await asyncio.gather(*(stage.running(name) for name in names))


async def test_pods_of_a_node_that_went_are_counted_until_they_are_gone(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.running("p")
    await stage.sandbox.remove(node.name)
    (again,) = await stage.nodes("t4:1")
    assert again.name == node.name
    await stage.create("q", MOST, nodeSelector=on(again))
    await stage.refused("q", "CardInsufficientMemory")
    await stage.remove("p")
    await stage.running("q")


@direct_only
async def test_a_node_that_is_not_ready_gets_no_pods_until_it_is_back(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await node.gone()
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.refused("p", "NodeNotReady")
    await node.back()
    await stage.running("p")


# -- cards -------------------------------------------------------------------------------------------------------------


async def test_a_card_that_falls_ill_keeps_its_pods_and_gets_no_new_ones(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("p", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.running("p")
    await node.card_unhealthy(0)
    await stage.create("q", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.refused("q", "nvidia.com/gpu")  # its plugin has no healthy device left
    assert (await stage.pod("p"))["status"]["phase"] == "Running"
    await node.card_healthy(0)
    await stage.running("q")


async def test_a_card_that_vanishes_while_it_is_held_is_still_held_when_it_comes_back(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:2")
    lost, left = node.cards
    for name, card in (("on-lost", lost), ("on-left", left)):
        await stage.create(name, MOST, nodeSelector=on(node), metadata=_wants(card.uuid))
        await stage.running(name)
    both = (await stage.api.get(node_path(node.name)))["metadata"]["annotations"][REGISTER]
    await stage.annotate(node_path(node.name), {REGISTER: protocol.encode_devices_text([left])})
    await stage.create("q", MOST, nodeSelector=on(node))
    assert "1 nodes CardInsufficientMemory" in await stage.refused("q", "CardInsufficientMemory")
    assert (await stage.ledger())["nodes"][node.name]["NVIDIA"][lost.uuid] == [1, T4_MIB - 1000, 0]
    await stage.annotate(node_path(node.name), {REGISTER: both})
    await stage.remove("on-lost")
    pod = await stage.running("q")
    assert pod["metadata"]["annotations"][ALLOCATED].startswith(lost.uuid)


async def test_a_card_that_falls_ill_while_a_pod_waits_for_the_lock_is_not_given_to_it(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:2")
    lock = stage.at_lock(Kind.HOLD, node)
    await stage.create("p", MOST, nodeSelector=on(node))
    await lock.hit.wait()
    ((card,),) = [list(cards) for cards in (await stage.ledger())["nodes"][node.name].values()]
    ill, well = sorted(node.cards, key=lambda device: device.uuid != card)
    await node.card_unhealthy(ill.index)
    await stage.create("asks-for-it", MOST, nodeSelector=on(node), metadata=_wants(ill.uuid))
    await stage.refused("asks-for-it", "CardNotHealth")  # so the operator knows
    lock.release()
    pod = await stage.running("p")
    assert pod["metadata"]["annotations"][ALLOCATED].startswith(well.uuid)


def _wants(uuid: str) -> Json:
    return {"annotations": {"nvidia.com/use-gpuuuid": uuid}}


# -- plugins -----------------------------------------------------------------------------------------------------------


async def test_a_slow_plugin_gets_one_pod_after_another(stage: FaultStage, hollow: Node) -> None:
    await hollow.slow(0.3)
    names = [f"p{number}" for number in range(5)]
    await asyncio.gather(
        *(stage.create(name, container(gpu=1, mem=1000 + int(name[1:])), nodeSelector=on(hollow)) for name in names)
    )
    for name in names:
        await stage.running(name)
        environment = await hollow.environment(f"{stage.namespace}/{name}", "main")
        assert environment["CUDA_DEVICE_MEMORY_LIMIT_0"] == f"{1000 + int(name[1:])}m"
    await hollow.well()


async def test_a_plugin_that_dies_leaves_its_pods_running_and_gets_no_new_ones(stage: FaultStage, hollow: Node) -> None:
    await stage.create("before", container(gpu=1, mem=1000), nodeSelector=on(hollow))
    await stage.running("before")
    await hollow.kill_plugin()
    await _allocatable(stage, hollow, 0)
    await stage.create("p", container(gpu=1, mem=1000), nodeSelector=on(hollow))
    await stage.refused("p", "InsufficientExtendedResource")
    assert (await stage.pod("before"))["status"]["phase"] == "Running"
    await hollow.start_plugin()
    await stage.running("p")


async def test_a_plugin_that_dies_with_a_pod_on_its_way_fails_that_pod_alone(stage: FaultStage, hollow: Node) -> None:
    await hollow.slow(30)
    await stage.create("p", container(gpu=1, mem=1000), nodeSelector=on(hollow))
    await stage.bound("p")
    await stage.create("q", container(gpu=1, mem=1000), nodeSelector=on(hollow))
    await stage.event("q", "NodeLocked")
    await hollow.kill_plugin()
    failed = await stage.phase("p", "Failed")
    assert failed["status"]["reason"] == "UnexpectedAdmissionError"
    await hollow.start_plugin()
    await stage.running("q")


async def _allocatable(stage: FaultStage, node: Node, count: int) -> None:
    async def ask() -> bool:
        status = (await stage.api.get(node_path(node.name)))["status"]
        return int(status["allocatable"].get("nvidia.com/gpu", 0)) == count

    await until(f"{node.name} reports {count} device ids", ask)


# -- failing for ever --------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def deployments(stage: FaultStage) -> AsyncIterator[str]:
    """Where Deployments of the test's namespace are made; they go at its end."""
    path = f"/apis/apps/v1/namespaces/{stage.namespace}"
    yield f"{path}/deployments"
    for kind in ("deployments", "replicasets"):
        for item in (await stage.api.get(f"{path}/{kind}"))["items"]:
            try:
                await stage.api.delete(f"{path}/{kind}/{item['metadata']['name']}")
            except ApiError as error:
                if error.status != 404:
                    raise


def deployment(replicas: int, *nodes: Node) -> dict[str, Any]:
    labels = {"app": "d"}
    spec = {
        "containers": [container(gpu=1, mem=1000)],
        "terminationGracePeriodSeconds": 0,
        "affinity": among(*nodes),
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


async def test_a_deployment_runs_though_one_of_its_two_nodes_fails_for_ever(
    stage: FaultStage, hollow: Node, deployments: str
) -> None:
    replicas = 6
    (other,) = await stage.nodes("t4:2")
    await stage.create("attracts", container(gpu=1, mem=5000), nodeSelector=on(hollow))  # binpack: the fuller one first
    await stage.running("attracts")
    await hollow.fail_allocate()
    try:
        await stage.api.post(deployments, deployment(replicas, hollow, other))

        async def all_run() -> bool:
            phases = [pod["status"]["phase"] for pod in await stage.pods()]
            return phases.count("Running") == replicas + 1

        await until(f"{replicas} pods run", all_run, 60)
    finally:
        await hollow.restart_plugin()
    failed = [pod for pod in await stage.pods() if pod["status"]["phase"] == "Failed"]
    assert 1 <= len(failed) <= 3, [pod["status"].get("message") for pod in failed]
    assert {pod["spec"]["nodeName"] for pod in failed} == {hollow.name}


async def test_a_node_whose_plugin_failed_is_said_to_be_left_alone_and_tried_again(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await node.fail_allocate(1)
    await stage.create("first", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.phase("first", "Failed")
    await stage.create("p", container(gpu=1, mem=1000), nodeSelector=on(node))
    message = await stage.refused("p", "NodeAllocateFailing")
    assert "NVIDIA allocations have failed there, it is left alone for a while" in message
    await stage.running("p", 20)


async def test_a_new_registration_ends_the_pause_of_a_node_whose_plugin_failed(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await node.fail_allocate()
    await stage.create("first", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.phase("first", "Failed")
    await stage.create("p", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.refused("p", "NodeAllocateFailing")
    await node.restart_plugin()
    await stage.running("p", 5)


async def test_a_node_made_anew_does_not_inherit_the_pause_of_its_name(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await node.fail_allocate()
    await stage.create("first", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.phase("first", "Failed")
    await stage.remove("first")
    await stage.sandbox.remove(node.name)
    (again,) = await stage.nodes("t4:1")
    await stage.create("p", container(gpu=1, mem=1000), nodeSelector=on(again))
    await stage.running("p", 5)
