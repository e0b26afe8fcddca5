"""The overlay in a cluster: its pods are admitted, the doctor is content, and the two drivers exclude one another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from click.testing import CliRunner

from hami_operator.cli.main import main
from hami_operator.sandbox.installation import NAMESPACE, Companion, Installation
from tests.cluster.quota.stage import QuotaStage
from tests.cluster.whole.stage import container, until

from .test_failover import leading

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


async def test_kube_scheduler_beside_the_operator_passes_the_pod_security_of_its_namespace(stage: QuotaStage) -> None:
    deployment = await stage.api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/hami-operator")
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "hami-operator-0", "namespace": NAMESPACE}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    made = await stage.api.post(f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All", body)
    assert [one["name"] for one in made["spec"]["containers"]] == ["operator", "kube-scheduler"]


async def test_the_doctor_finds_nothing_wrong_and_sees_a_name_that_kube_scheduler_does_not_know(
    stage: QuotaStage,
) -> None:
    async def examined() -> dict[str, list[str]]:
        arguments = ["doctor", "-o", "json", "--kubeconfig", str(stage.sandbox.kubeconfig)]
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        rows = {row["check"]: [one["what"] for one in row["findings"]] for row in json.loads(result.stdout)}
        return {title: found for title, found in rows.items() if found}

    await until("the pair leads", lambda: leading(stage.operator))
    assert await examined() == {}
    maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    (found,) = [
        one
        for one in (await stage.api.get(maps))["items"]
        if one["metadata"]["name"].startswith("hami-kube-scheduler-config")
    ]
    text = found["data"]["kube-scheduler.yaml"]
    path = f"{maps}/{found['metadata']['name']}"
    await stage.api.patch(
        path, {"data": {"kube-scheduler.yaml": text.replace("nvidia.com/gpumem\n", "example.org/x\n")}}
    )
    try:
        told = (await examined())["kube-scheduler asks the operator"]
        assert told == ["kube-scheduler does not ask the operator about nvidia.com/gpumem"]
    finally:
        await stage.api.patch(path, {"data": {"kube-scheduler.yaml": text}})


@pytest_asyncio.fixture(loop_scope="session")
async def direct(stage: QuotaStage) -> AsyncIterator[Companion]:
    """An operator with the other driver, as it is there for a while when the driver is changed."""
    other = Installation(stage.sandbox, stage.installation.config)
    made = await other.start_operator()
    yield made
    other.kill(made)


async def test_one_driver_at_a_time_places_pods(stage: QuotaStage, direct: Companion) -> None:
    (pair,) = stage.installation.operators
    await until("the pair leads", lambda: leading(pair))
    await stage.create("one", container(gpu=1, mem=1000))
    await stage.running("one")
    assert not await leading(direct)
    stage.installation.kill(pair)
    await until("the other driver leads", lambda: leading(direct))
    await stage.create("two", container(gpu=1, mem=1000))
    await stage.running("two")
    pair = await stage.installation.start_operator()
    await stage.create("three", container(gpu=1, mem=1000))
    await stage.running("three")
    assert (await leading(direct), await leading(pair)) == (True, False)
    stage.sandbox.end(direct.pid)
    await until("the pair leads again", lambda: leading(pair))
    await stage.create("four", container(gpu=1, mem=1000))
    await stage.running("four")
    await stage.settled()


async def test_the_page_and_the_metrics_tell_who_waits(stage: QuotaStage) -> None:
    await stage.create("p", container(gpu=1, mem=90_000))
    await stage.refused("p", "CardInsufficientMemory")
    async with aiohttp.ClientSession() as session, session.get(f"{stage.operator.url}/api/v1/pending") as response:
        found = json.dumps(await response.json())
    assert stage.namespace in found
    assert "no available node, 5 nodes do not meet" in found
    assert await stage.metric("hami_operator_extender_seconds_count") > 0
