"""One pod's way on real parts: admitted, placed, bound, given its card by the kubelet; and what stands against it."""

from __future__ import annotations

import asyncio
import json

import pytest

from hami_operator.core import protocol
from hami_operator.sandbox.errors import ApiError

from .stage import CORES, GPU, MEMORY, Stage, container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

ALLOCATED, TO_ALLOCATE = "hami.io/vgpu-devices-allocated", "hami.io/vgpu-devices-to-allocate"


async def test_the_kubelet_gives_the_container_the_card_and_limits_that_were_decided(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=3000, cores=30), nodeName=None)
    pod = await stage.running("p")
    ((share,),) = protocol.decode_shares(ALLOCATED, pod["metadata"]["annotations"][ALLOCATED])
    node = stage.sandbox.node(pod["spec"]["nodeName"])
    environment = await node.environment(f"{stage.namespace}/p", "main")
    assert environment["NVIDIA_VISIBLE_DEVICES"] == share.uuid
    assert environment["CUDA_DEVICE_MEMORY_LIMIT_0"] == "3000m"
    assert environment["CUDA_DEVICE_SM_LIMIT"] == "30"
    assert share.uuid in {card.uuid for card in node.cards}


async def test_a_bound_pod_bears_every_key_of_the_protocol_and_nothing_of_kopf(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=3000))
    pod = await stage.running("p")
    annotations, node = pod["metadata"]["annotations"], pod["spec"]["nodeName"]
    assert annotations[protocol.POD_NODE] == pod["metadata"]["labels"][protocol.POD_NODE] == node
    assert annotations[protocol.BIND_PHASE] == "success"
    assert int(annotations[protocol.BIND_TIME]) == int(annotations[protocol.POD_TIME]) > 0
    assert protocol.decode_shares(TO_ALLOCATE, annotations[TO_ALLOCATE]) in ((), ((),)), "the plugin took its segment"
    own = protocol.decode_allocation(annotations[protocol.OWN_ALLOCATION])
    assert own.families["NVIDIA"] == protocol.decode_shares(ALLOCATED, annotations[ALLOCATED])
    assert not [key for key in annotations if "kopf" in key]
    assert "finalizers" not in pod["metadata"]
    assert await stage.lock(node) is None


async def test_a_count_alone_becomes_a_whole_card_in_limits_and_requests(stage: Stage) -> None:
    made = await stage.create("p", container(gpu=1))
    resources = made["spec"]["containers"][0]["resources"]
    assert made["spec"]["schedulerName"] == "hami-scheduler"
    assert resources["limits"] == resources["requests"] == {GPU: "1", CORES: "100"}
    pod = await stage.running("p")
    ((share,),) = protocol.decode_shares(ALLOCATED, pod["metadata"]["annotations"][ALLOCATED])
    card = next(c for c in stage.sandbox.node(pod["spec"]["nodeName"]).cards if c.uuid == share.uuid)
    assert (share.memory_mib, share.cores) == (card.memory_mib, 100)


async def test_annotations_that_claim_a_card_are_taken_away_and_the_rules_decide(stage: Stage) -> None:
    victim = stage.sandbox.node("a30-0").cards[0].uuid
    claimed = {
        protocol.POD_NODE: "a30-0",
        ALLOCATED: f"{victim},NVIDIA,0,0:;",
        protocol.BIND_PHASE: "allocating",
        protocol.OWN_ALLOCATION: json.dumps({"NVIDIA": [[[victim, "NVIDIA", 0, 0]]]}),
    }
    made = await stage.create("p", container(gpu=1, mem=2000), metadata={"annotations": claimed})
    assert not made["metadata"].get("annotations")
    pod = await stage.running("p")
    ((share,),) = protocol.decode_shares(ALLOCATED, pod["metadata"]["annotations"][ALLOCATED])
    assert share.memory_mib == 2000


async def test_a_pod_without_accelerators_never_meets_us(stage: Stage) -> None:
    made = await stage.create("p", container(cpu="100m"), metadata={"annotations": {"mine": "1"}})
    assert made["spec"]["schedulerName"] == "default-scheduler"
    assert made["metadata"]["annotations"] == {"mine": "1"}


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"gpu": 1, "mem": "4Gi"}, "nvidia.com/gpumem is 4Gi, allowed is an integer without a binary suffix"),
        ({"gpu": 1, "cores": 120}, "nvidia.com/gpucores is 120, allowed is an integer from 0 to 100"),
        ({"gpu": 1, "percent": 101}, "nvidia.com/gpumem-percentage is 101, allowed is an integer from 1 to 100"),
    ],
)
async def test_what_can_never_work_is_refused_with_a_sentence(stage: Stage, limits: dict, sentence: str) -> None:
    with pytest.raises(ApiError) as refused:
        await stage.create("p", container(**limits))
    assert f"container 'main': {sentence}" in str(refused.value)


async def test_what_fits_nowhere_says_why_and_starts_when_room_appears(stage: Stage) -> None:
    await stage.create("big", container(gpu=1, mem=70000), nodeSelector={"kubernetes.io/hostname": "a100-80-0"})
    await stage.create("other", container(gpu=1, mem=70000), nodeSelector={"kubernetes.io/hostname": "a100-80-0"})
    await asyncio.gather(stage.running("big"), stage.running("other"))
    await stage.create("waits", container(gpu=1, mem=60000))
    message = await stage.refused("waits", "CardInsufficientMemory")
    assert "1 nodes CardInsufficientMemory(" in message or "nodes CardInsufficientMemory" in message
    event = await stage.event("waits", "FilteringFailed")
    assert event["type"] == "Warning"
    assert event["note"].startswith("no available node, 5 nodes do not meet")
    await stage.sandbox.node("a100-80-0").exit(f"{stage.namespace}/big", "main")
    await stage.running("waits")


async def test_containers_get_cards_by_position_and_limits_of_their_own(stage: Stage) -> None:
    parts = (
        container("first", gpu=1, mem=1000),
        container("plain", cpu="10m"),
        container("last", gpu=2, mem=500, cores=5),
    )
    await stage.create("p", *parts, nodeSelector={"kubernetes.io/hostname": "a30-0"})
    pod = await stage.running("p")
    first, plain, last = protocol.decode_shares(ALLOCATED, pod["metadata"]["annotations"][ALLOCATED])
    assert ([s.memory_mib for s in first], plain, [s.memory_mib for s in last]) == ([1000], (), [500, 500])
    node = stage.sandbox.node("a30-0")
    environment = await node.environment(f"{stage.namespace}/p", "last")
    assert environment["NVIDIA_VISIBLE_DEVICES"] == ",".join(share.uuid for share in last)
    assert environment["CUDA_DEVICE_MEMORY_LIMIT_1"] == "500m"


async def test_fifty_pods_at_once_all_run_and_no_card_is_given_twice(stage: Stage) -> None:
    names = [f"p{number}" for number in range(50)]
    await asyncio.gather(*(stage.create(name, container(gpu=1, mem=2000, cores=5)) for name in names))
    await asyncio.gather(*(stage.running(name, 60) for name in names))
    await stage.settled()
    assert await stage.metric("hami_operator_audit_differences") == 0


async def test_an_operator_killed_with_a_pod_in_flight_is_followed_by_one_that_finishes(stage: Stage) -> None:
    node = stage.sandbox.node("a30-0")
    here = {"kubernetes.io/hostname": "a30-0"}
    await node.slow(2.0)
    await asyncio.gather(*(stage.create(f"p{n}", container(gpu=1, mem=4000), nodeSelector=here) for n in range(3)))

    async def one_is_bound() -> bool:
        return any(pod["spec"].get("nodeName") for pod in await stage.pods())

    await until("a pod is bound", one_is_bound)
    stage.installation.kill(stage.operator)
    await node.well()
    await stage.installation.start_operator()
    await asyncio.gather(*(stage.running(f"p{n}") for n in range(3)))
    await stage.settled()


async def test_a_pod_of_another_scheduler_is_left_alone(stage: Stage) -> None:
    made = await stage.create("p", container(gpu=1, mem=100), schedulerName="somebody-else")
    assert made["spec"]["schedulerName"] == "somebody-else"
    assert MEMORY in made["spec"]["containers"][0]["resources"]["limits"]
    await stage.create("ours", container(gpu=1, mem=100))
    await stage.running("ours")
    assert not (await stage.pod("p"))["spec"].get("nodeName")


async def test_annotations_that_leave_no_room_are_not_bound_and_the_pod_is_told(stage: Stage) -> None:
    """Past the webhook (by the opt-out label), 250 KiB of annotations: a Binding would make the pod unpatchable."""
    await stage.create(
        "p",
        container(gpu=1, mem=100),
        schedulerName="hami-scheduler",
        metadata={"annotations": {"filler": "x" * 261_900}, "labels": {"hami.io/webhook": "ignore"}},
    )
    event = await stage.event("p", "AllocationNotWritable")
    assert "annotations would have" in event["note"]
    assert not (await stage.pod("p"))["spec"].get("nodeName")
