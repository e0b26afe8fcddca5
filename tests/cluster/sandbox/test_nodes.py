"""Nodes of both kinds do the kubelet's and the plugin's half of the protocol, faults included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hami_operator.core.protocol import BIND_PHASE, NODE_LOCK, Phase, decode_devices
from hami_operator.sandbox import Kind, Node, NodeSpec, Sandbox, SandboxError
from hami_operator.sandbox.api import node_path, pod_path
from hami_operator.sandbox.podstatus import RUN_SECONDS
from hami_operator.sandbox.podview import annotations_of

from .binding import Hand

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

Json = dict[str, Any]


@pytest_asyncio.fixture
async def hand(sandbox: Sandbox, node: Node) -> AsyncIterator[Hand]:
    async with sandbox.api() as api:
        hand = Hand(api, node)
        yield hand
        await node.well()
        await hand.clean()


def phase(pod: Json) -> str | None:
    return annotations_of(pod).get(BIND_PHASE)


async def test_a_node_registers_its_cards_and_device_ids(node: Node, hand: Hand) -> None:
    found = await hand.allocatable(20)
    key = node.type.habits.register_key
    assert decode_devices(key, annotations_of(found)[key]) == node.cards
    assert annotations_of(found)[node.type.habits.handshake_key].startswith("Reported ")


async def test_each_container_gets_its_cards_and_the_lock_is_released(node: Node, hand: Hand) -> None:
    positions = [[hand.share(0, 3000, 30), hand.share(1, 2000, 20)], [], [hand.share(1, 500, 5)]]
    pod = await hand.run(positions)
    assert (pod["status"]["phase"], phase(pod)) == ("Running", Phase.SUCCESS)
    assert annotations_of(pod)[node.type.habits.to_allocate_key] == ";"
    assert await hand.lock() is None
    name = f"default/{pod['metadata']['name']}"
    first = await node.environment(name, "c0")
    assert first["NVIDIA_VISIBLE_DEVICES"] == f"{node.cards[0].uuid},{node.cards[1].uuid}"
    assert (first["CUDA_DEVICE_MEMORY_LIMIT_0"], first["CUDA_DEVICE_MEMORY_LIMIT_1"]) == ("3000m", "2000m")
    assert first["CUDA_DEVICE_SM_LIMIT"] == "30"
    third = await node.environment(name, "c2")
    assert (third["NVIDIA_VISIBLE_DEVICES"], third["CUDA_DEVICE_MEMORY_LIMIT_0"]) == (node.cards[1].uuid, "500m")
    assert "NVIDIA_VISIBLE_DEVICES" not in await node.environment(name, "c1")


async def test_a_pod_without_a_lock_is_found_by_the_scan(hand: Hand) -> None:
    positions = [[hand.share()]]
    name = await hand.create(positions)
    await hand.node.slow(1.0)  # the plugin looks for its pod after this: time to take the lock away
    await hand.bind(name, positions)
    await hand.api.patch(node_path(hand.node.name), {"metadata": {"annotations": {NODE_LOCK: None}}})
    assert phase(await hand.result(name)) == Phase.SUCCESS


async def test_another_pods_lock_is_not_released(hand: Hand) -> None:
    """The lock names another pod of the node, so the plugin serves that one; ours fails, the other's lock goes."""
    positions = [[hand.share()]]
    first = await hand.create(positions)
    other = await hand.create(positions)
    await hand.node.slow(1.0)
    await hand.bind(first, positions)
    text = f"2030-01-01T00:00:00Z,default,{other}"
    await hand.api.patch(node_path(hand.node.name), {"metadata": {"annotations": {NODE_LOCK: text}}})
    pod = await hand.result(first)
    assert pod["status"]["reason"] == "UnexpectedAdmissionError"
    assert phase(pod) == Phase.ALLOCATING
    assert phase(await hand.api.get(pod_path("default", other))) == Phase.FAILED
    assert await hand.lock() is None


async def test_a_wrong_number_of_cards_fails_the_pod_and_frees_the_lock(hand: Hand) -> None:
    name = await hand.create([[hand.share(0), hand.share(1)]])
    await hand.bind(name, [[hand.share(0)]])
    pod = await hand.result(name)
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "UnexpectedAdmissionError")
    assert "device number not matched" in pod["status"]["message"]
    assert phase(pod) == Phase.FAILED
    assert await hand.lock() is None


async def test_allocate_fails_as_often_as_asked_for(hand: Hand) -> None:
    await hand.node.fail_allocate(1)
    failed = await hand.run([[hand.share()]])
    assert (failed["status"]["reason"], phase(failed)) == ("UnexpectedAdmissionError", Phase.FAILED)
    assert await hand.lock() is None
    assert phase(await hand.run([[hand.share()]])) == Phase.SUCCESS


async def test_a_slow_plugin_keeps_pod_and_lock_waiting(hand: Hand) -> None:
    await hand.node.slow(1.5)
    positions = [[hand.share()]]
    name = await hand.create(positions)
    await hand.bind(name, positions)
    began = asyncio.get_running_loop().time()
    pod = await hand.result(name)
    assert phase(pod) == Phase.SUCCESS
    assert asyncio.get_running_loop().time() - began > 1.0


async def test_an_ill_card_lowers_the_device_ids_and_shows_in_the_annotation(node: Node, hand: Hand) -> None:
    key = node.type.habits.register_key
    await node.card_unhealthy(1)
    found = await hand.allocatable(10)
    assert [card.healthy for card in decode_devices(key, annotations_of(found)[key])] == [True, False]
    await node.card_healthy(1)
    found = await hand.allocatable(20)
    assert all(card.healthy for card in decode_devices(key, annotations_of(found)[key]))
    with pytest.raises(SandboxError, match=r"card 2 of node .* does not exist: 0 to 1"):
        await node.card_unhealthy(2)


async def test_a_dead_plugin_takes_the_device_ids_along_until_it_is_back(node: Node, hand: Hand) -> None:
    held = await hand.run([[hand.share(0, memory=node.cards[0].memory_mib)]])
    await node.kill_plugin()
    await hand.allocatable(0)
    await node.start_plugin()
    await hand.allocatable(20)
    assert phase(await hand.run([[hand.share(1)]])) == Phase.SUCCESS
    assert (await hand.api.get(pod_path("default", held["metadata"]["name"])))["status"]["phase"] == "Running"


async def test_a_node_that_stops_is_not_ready_until_it_is_back(node: Node, hand: Hand) -> None:
    def ready(found: Json) -> str:
        return next(c["status"] for c in found["status"]["conditions"] if c["type"] == "Ready")

    await node.gone()
    found = await hand.node_when(lambda n: bool(n["spec"].get("taints")), "the node controller taints it")
    assert ready(found) == "Unknown"
    await node.back()
    assert ready(await hand.allocatable(20)) == "True"
    assert phase(await hand.run([[hand.share()]])) == Phase.SUCCESS


async def test_pods_end_on_request_with_their_code(node: Node, hand: Hand) -> None:
    well, ill = await hand.run([[hand.share()]]), await hand.run([[hand.share()]])
    for pod, code in ((well, 0), (ill, 3)):
        await node.exit(f"default/{pod['metadata']['name']}", "c0", code)
    for pod, expected in ((well, "Succeeded"), (ill, "Failed")):
        name = pod["metadata"]["name"]
        await hand.pod_when(name, lambda p, e=expected: p["status"]["phase"] == e, expected)  # type: ignore[misc]
    with pytest.raises(SandboxError, match="no such running container"):
        await node.exit(f"default/{well['metadata']['name']}", "c0")


async def test_a_pod_with_the_annotation_ends_by_itself(hand: Hand) -> None:
    pod = await hand.run([[hand.share()]], annotations={RUN_SECONDS: "0.5"})
    await hand.pod_when(pod["metadata"]["name"], lambda p: p["status"]["phase"] == "Succeeded", "it ends")


async def test_a_deleted_pod_goes_and_its_cards_are_free(node: Node, hand: Hand) -> None:
    whole = [[hand.share(0, node.cards[0].memory_mib, 100)]]
    first = (await hand.run(whole))["metadata"]["name"]
    await hand.api.delete(pod_path("default", first))
    await hand.gone(first)
    assert phase(await hand.run(whole)) == Phase.SUCCESS


@pytest.mark.parametrize("release", ["2.8", "2.10"])
async def test_later_releases_of_the_plugin_are_played_as_well(sandbox: Sandbox, kind: Kind, release: str) -> None:
    (made,) = await sandbox.add(NodeSpec("t4", 1, kind=kind, release=release))
    async with sandbox.api() as api:
        hand = Hand(api, made)
        found = await hand.allocatable(10)
        assert annotations_of(found)[made.type.habits.register_key].startswith('[{"id":"GPU-')
        pod = await hand.run([[], [hand.share()]])
        assert phase(pod) == Phase.SUCCESS
        assert annotations_of(pod)[made.type.habits.to_allocate_key] == (";" if release == "2.8" else ";;;")
        await hand.clean()
    await sandbox.remove(made.name)
