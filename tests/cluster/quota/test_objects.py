"""The objects themselves: what the API server refuses, what we say of the rest, and who writes the status when."""

from __future__ import annotations

import asyncio

import pytest

from hami_operator.sandbox.errors import ApiError
from hami_operator.sandbox.installation import Installation
from tests.cluster.whole.stage import container, until

from .stage import GPU, MEM, QuotaStage, quota_object

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

MANY = {f"limits.example.com/r{n}": 1 for n in range(65)}


@pytest.mark.parametrize(
    ("hard", "sentence"),
    [
        (None, "spec.hard"),
        ({}, "should have at least 1 properties"),
        (MANY, "must have at most 64 items"),
        ({GPU: -1}, "should be greater than or equal to 0"),
        ({GPU: "-1"}, "should match"),
        ({GPU: "many"}, "should match"),
        ({MEM: "1.5Gi"}, "should match"),
        ({MEM: "9" * 33}, "may not be more than 32"),
        ({"requests.nvidia.com/gpu": 1}, "every key is limits. and the name of a resource"),
        ({"nvidia.com/gpu": 1}, "every key is limits. and the name of a resource"),
        ({"limits.gpu": 1}, "every key is limits. and the name of a resource"),
    ],
    ids=[
        "none",
        "empty",
        "65 keys",
        "negative",
        "negative text",
        "text",
        "fraction",
        "long",
        "prefix",
        "bare",
        "short",
    ],
)
async def test_the_api_server_refuses_what_means_nothing(stage: QuotaStage, hard: object, sentence: str) -> None:
    with pytest.raises(ApiError) as refused:
        await stage.api.post(stage.quota_path(), quota_object("bad", hard))
    assert sentence in str(refused.value), str(refused.value)


async def test_scopes_that_mean_nothing_are_refused_too(stage: QuotaStage) -> None:
    for expression, sentence in (
        ({"scopeName": "Strange", "operator": "Exists"}, "Unsupported value"),
        ({"scopeName": "Terminating", "operator": "In", "values": ["x"]}, "operator is Exists for every scope"),
        ({"scopeName": "PriorityClass", "operator": "In"}, "values are given with In and NotIn"),
    ):
        spec = {"scopeSelector": {"matchExpressions": [expression]}}
        with pytest.raises(ApiError) as refused:
            await stage.api.post(stage.quota_path(), quota_object("bad", {GPU: 1}, **spec))
        assert sentence in str(refused.value), str(refused.value)


async def test_what_only_we_can_know_is_told_in_a_condition_and_other_keys_stay(stage: QuotaStage) -> None:
    await stage.limit({"limits.nvidia.com/gpumem-percentage": 50, "limits.nvidia.com/gpucores": "1Gi", GPU: 1})
    status = await stage.observed()
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InvalidQuantity")
    assert "limits.nvidia.com/gpucores is '1Gi'" in ready["message"]
    assert "limits.nvidia.com/gpumem-percentage: no family in force has it" in ready["message"]
    await stage.create("cores", container(gpu=1, mem=100, cores=10))
    assert "the key blocks until this is mended" in await stage.refused("cores", "gpucores is '1Gi'")
    await stage.create("one", container(gpu=1, mem=100))
    await stage.running("one")


async def test_a_status_that_was_edited_by_hand_is_put_right(stage: QuotaStage) -> None:
    await stage.limit({GPU: 2})
    right = await stage.summary("gpu 0/2", pending=0)
    forged = {"status": {"summary": "all is yours", "used": {GPU: "-5"}, "pending": 9, "waiting": [{"pod": "nobody"}]}}
    await stage.api.patch(f"{stage.quota_path('team')}/status", forged)
    assert await stage.summary("gpu 0/2", pending=0) == right


async def test_kubectl_shows_the_columns_and_knows_the_short_name(stage: QuotaStage) -> None:
    await stage.limit({GPU: 2, MEM: "40Gi"})
    await stage.create("one", container(gpu=1, mem=1000))
    await stage.summary("gpu 1/2, gpumem 1000/40960")
    shown = (await stage.sandbox.kubectl("get", "erq", "-n", stage.namespace)).stdout
    header, row = shown.splitlines()
    assert header.split() == ["NAME", "SUMMARY", "PENDING", "READY", "AGE"]
    assert "gpu 1/2, gpumem 1000/40960" in row
    assert "True" in row


async def test_a_status_is_written_by_the_leader_alone_and_once_a_second_at_most(stage: QuotaStage) -> None:
    await stage.limit({GPU: 30})
    await stage.summary("gpu 0/30", pending=0)
    clock = asyncio.get_running_loop().time
    before, began = await stage.writes(), clock()
    await stage.crowd([f"p{number:02}" for number in range(60)], gpu=1, mem=100)
    await stage.summary("gpu 30/30", pending=30)
    written, took = await stage.writes() - before, clock() - began
    assert 1 <= written <= took + 1
    leader, standby = stage.operator, await stage.installation.start_operator()
    await stage.change({GPU: 31})
    await stage.summary("gpu 31/31", pending=29)
    assert stage.operator == standby
    assert await stage.writes() == 0
    stage.installation.kill(leader)
    await stage.change({GPU: 32})
    await stage.summary("gpu 32/32", pending=28)
    assert await stage.writes() >= 1, "the standby leads now"


async def test_a_thousand_objects_at_rest_cause_no_writes(stage: QuotaStage) -> None:
    room = asyncio.Semaphore(16)

    async def make(number: int) -> None:
        async with room:
            await stage.api.post(stage.quota_path(), quota_object(f"q{number:04}", {GPU: 5 + number}))

    await asyncio.gather(*(make(number) for number in range(1000)))
    for number in range(1000):
        await stage.observed(f"q{number:04}")
    before = await stage.writes()
    stage.installation.kill(stage.operator)
    await stage.installation.start_operator()
    await stage.create("probe", container(gpu=6, mem=100))
    await stage.refused("probe", "ResourceQuotaNotFit")
    await stage.summary("gpu 0/5", "q0000", pending=1)
    assert before >= 1000
    assert await stage.writes() == 1, "the new operator found every status right but that of the quota which refuses"
    await stage.delete("probe")
    await stage.summary("gpu 0/5", "q0000", pending=0)
    assert await stage.writes() == 2


async def test_a_namespace_that_is_deleted_with_its_quota_while_pods_end_leaves_nothing_behind(
    stage: QuotaStage, installed: Installation
) -> None:
    async with stage.sandbox.api() as api:
        name = f"{stage.namespace}-gone"
        await api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        doomed = QuotaStage(stage.sandbox, installed, api, name)
        await asyncio.gather(*(until("a pod is admitted", lambda n=n: _created(doomed, n)) for n in range(8)))
        await asyncio.gather(*(doomed.running(f"p{n}") for n in range(8)))
        await doomed.limit({GPU: 3})
        await doomed.summary("gpu 8/3")
        await api.delete(f"/api/v1/namespaces/{name}")

        async def gone() -> bool:
            try:
                await api.get(f"/api/v1/namespaces/{name}")
            except ApiError:
                return True
            return False

        await until("the namespace is gone", gone, 90)
    await stage.limit({GPU: 1})
    await stage.create("after", container(gpu=1, mem=100))
    await stage.running("after")
    assert await stage.metric("hami_operator_audit_differences") == 0
    assert "Traceback" not in stage.installation.log(stage.operator)


async def _created(stage: QuotaStage, number: int) -> bool:
    """A pod, as soon as the namespace has its account."""
    try:
        await stage.create(f"p{number}", container(gpu=1, mem=100))
    except ApiError:
        return False
    return True
