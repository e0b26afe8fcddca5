"""kube-scheduler ends pods of lower priority for cpu; it is kept from ending those whose end would give no cards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster.quota.stage import QuotaStage
from tests.cluster.whole.stage import Json, container

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
HOSTNAME = "kubernetes.io/hostname"


@pytest_asyncio.fixture(loop_scope="session")
async def urgent(stage: QuotaStage) -> AsyncIterator[str]:
    body = {"metadata": {"name": "urgent"}, "value": 1000, "preemptionPolicy": "PreemptLowerPriority"}
    await stage.api.post(CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", **body})
    yield "urgent"
    await stage.api.delete(f"{CLASSES}/urgent")


#: A container that takes nearly all cpu of its node, and no card.
EATER: Json = {"name": "main", "image": "example.org/i", "resources": {"requests": {"cpu": "60"}}}


async def test_only_pods_whose_end_gives_cards_are_ended(stage: QuotaStage, urgent: str) -> None:
    """Every node is full of cpu; the pod may have T4s alone, those of t4-1 and t4-2 are taken for good."""
    nodes = [node["metadata"]["name"] for node in (await stage.api.get("/api/v1/nodes"))["items"]]
    for node in nodes:
        await stage.create(f"eats-{node}", EATER, nodeSelector={HOSTNAME: node}, schedulerName="hami-scheduler")
        await stage.running(f"eats-{node}")
    for node in ("t4-1", "t4-2"):
        for number in range(4):
            name = f"holds-{node}-{number}"
            await stage.create(name, container(gpu=1), nodeSelector={HOSTNAME: node}, priorityClassName=urgent)
            await stage.running(name)
    asking = container(gpu=1, mem=1000)
    asking["resources"]["requests"] = {"cpu": "30"}
    annotations = {"nvidia.com/use-gputype": "T4"}
    await stage.create("p", asking, metadata={"annotations": annotations}, priorityClassName=urgent)
    pod = await stage.running("p", 60)
    assert pod["spec"]["nodeName"] == "t4-0"

    async def left() -> set[str]:
        return {name for pod in await stage.pods() if (name := pod["metadata"]["name"]).startswith("eats-")}

    assert await left() == {f"eats-{node}" for node in nodes if node != "t4-0"}
