"""Never past hard: not by a burst, not by a restart; and as soon as there is room, exactly as many as fit."""

from __future__ import annotations

import asyncio

import pytest

from hami_operator.sandbox import Kind, NodeSpec
from hami_operator.sandbox.installation import Installation
from tests.cluster.whole.stage import container, until

from .stage import CORES, GPU, MEM, QuotaStage, quota_stage

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


async def test_300_pods_against_room_for_50_give_exactly_50_though_the_operator_is_killed(stage: QuotaStage) -> None:
    await stage.limit({MEM: 50_000})
    burst = asyncio.ensure_future(stage.crowd([f"p{n:03}" for n in range(300)], gpu=1, mem=1000))

    async def some() -> bool:
        return len(await stage.bound()) >= 10

    await until("some are bound", some, 60)
    stage.installation.kill(stage.operator)
    await stage.installation.start_operator()
    await burst

    async def full() -> bool:  # one that waited and is being bound still says what kept it
        return len(await stage.bound()) >= 50

    await until("as many are bound as there is room for", full, 120)
    assert len(await stage.explained(50)) == 50
    status = await stage.summary("gpumem 50000/50000", pending=250)
    assert len(status["waiting"]) == len(status["largest"]) == 5
    assert status["waiting"][0]["reason"] == "ResourceQuotaNotFit"
    assert status["waiting"][0]["asked"] == {MEM: "1000"}
    assert [c["reason"] for c in status["conditions"]] == ["Enforced", "AtHard"]
    message = await stage.refused(status["waiting"][0]["pod"], "ResourceQuotaNotFit")
    quota = f"quota {stage.namespace}/team: {MEM} asked 1000"
    assert quota in message
    assert await stage.metric("hami_operator_audit_differences") == 0


async def test_raising_hard_starts_exactly_as_many_as_fit_by_priority_and_age(stage: QuotaStage) -> None:
    high = f"high-{stage.namespace}"
    body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": high}, "value": 1000}
    await stage.api.post("/apis/scheduling.k8s.io/v1/priorityclasses", body)
    await stage.limit({GPU: 0})
    for name in ("old", "young"):
        await stage.create(name, container(gpu=1, mem=500))
        await stage.refused(name, "ResourceQuotaNotFit")
        await asyncio.sleep(1.1)  # the API server's times of creation are whole seconds
    await stage.create("urgent", container(gpu=1, mem=500), priorityClassName=high)
    assert "asked 1, used 0, hard 0; it can never fit until hard is raised" in await stage.refused("urgent", "quota")
    await stage.summary("gpu 0/0", pending=3)
    await stage.change({GPU: 1})
    await stage.running("urgent")
    await stage.summary("gpu 1/1", pending=2)
    await stage.change({GPU: 2})
    await stage.running("old")
    status = await stage.summary("gpu 2/2", pending=1)
    assert [one["pod"] for one in status["waiting"]] == ["young"]
    await stage.delete("urgent")
    await stage.running("young")
    await stage.api.delete(f"/apis/scheduling.k8s.io/v1/priorityclasses/{high}")


async def test_lowering_evicts_nobody_and_removing_a_key_or_the_object_lets_pods_go(stage: QuotaStage) -> None:
    await stage.limit({MEM: 4000, CORES: 100})
    await stage.create("first", container(gpu=1, mem=3000, cores=50))
    await stage.running("first")
    await stage.change({MEM: 1000})
    status = await stage.summary("gpumem 3000/1000, gpucores 50/100")
    assert [c["reason"] for c in status["conditions"]] == ["Enforced", "OverHard"]
    await stage.create("second", container(gpu=1, mem=100, cores=10))
    assert "asked 100, used 3000, hard 1000" in await stage.refused("second", "ResourceQuotaNotFit")
    assert await stage.bound() == {"first"}
    await stage.change({MEM: None})
    await stage.running("second")
    await stage.create("third", container(gpu=1, mem=100, cores=50))
    await stage.refused("third", "gpucores asked 50, used 60, hard 100")
    await stage.api.delete(stage.quota_path("team"))
    await stage.running("third")


async def test_a_core_quota_counts_beside_ours_and_is_never_written(stage: QuotaStage) -> None:
    hard = {MEM: "2Gi", GPU: 2000}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "core"}, "spec": {"hard": hard}}
    path = f"/api/v1/namespaces/{stage.namespace}/resourcequotas"
    await stage.api.post(path, body)
    await stage.limit({MEM: 40_000})
    await stage.create("large", container(gpu=1, mem=2049))
    told = await stage.refused("large", "ResourceQuotaNotFit")
    assert f"quota {stage.namespace}/core: {MEM} asked 2049, used 0, hard 2048; it can never fit" in told
    await stage.create("fits", container(gpu=1, mem=2048))
    await stage.running("fits")
    core = await stage.api.get(f"{path}/core")
    assert core["spec"]["hard"] == {MEM: "2Gi", GPU: "2k"}, "as the API server writes 2000"
    managers = {entry["manager"] for entry in core["metadata"].get("managedFields", ())}
    assert not [name for name in managers if "hami" in name]
    await stage.api.delete(f"{path}/core")
    await stage.running("large")


async def test_namespaces_do_not_disturb_each_other(stage: QuotaStage, installed: Installation) -> None:
    async with quota_stage(installed, "other") as other:
        await stage.limit({GPU: 3})
        await other.limit({GPU: 5})
        names = [f"p{n}" for n in range(10)]
        await asyncio.gather(stage.crowd(names, gpu=1, mem=100), other.crowd(names, gpu=1, mem=100))
        assert len(await stage.explained(3)) == 3
        assert len(await other.explained(5)) == 5
        await other.change({GPU: 6})
        await other.summary("gpu 6/6", pending=4)
        assert len(await stage.bound()) == 3


async def test_a_pod_that_ends_lets_the_next_one_go_whether_it_succeeds_fails_or_is_deleted(stage: QuotaStage) -> None:
    await stage.limit({GPU: 1})
    names = ["a", "b", "c"]
    await stage.create("a", container(gpu=1, mem=100))
    running = await stage.running("a")
    for name in names[1:]:
        await stage.create(name, container(gpu=1, mem=100))
        await stage.refused(name, "ResourceQuotaNotFit")
    await stage.sandbox.node(running["spec"]["nodeName"]).exit(f"{stage.namespace}/a", "main")

    async def next_one() -> str | None:
        return next(iter(await stage.bound() - {"a"}), None)

    second = await until("the next one is bound", next_one)
    await stage.running(second)
    await stage.delete(second)
    (third,) = set(names) - {"a", second}
    await stage.running(third)
    await stage.summary("gpu 1/1", pending=0)


async def test_what_a_pod_of_a_lost_node_had_is_free_for_the_next(stage: QuotaStage) -> None:
    (node,) = await stage.sandbox.add(NodeSpec("t4", cards=1, kind=Kind.SIMULATED))
    await stage.limit({GPU: 1})
    taints = ("not-ready", "unreachable")
    leaves_at_once = [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}
        for taint in taints
    ]
    await stage.create(
        "first",
        container(gpu=1, mem=100),
        nodeSelector={"kubernetes.io/hostname": node.name},
        tolerations=leaves_at_once,
    )
    await stage.running("first")
    await stage.create("second", container(gpu=1, mem=100))
    await stage.refused("second", "asked 1, used 1, hard 1")
    await node.gone()
    await stage.running("second", 90)
    await stage.summary("gpu 1/1", pending=0)
    assert await stage.bound() == {"second"}
    await stage.sandbox.remove(node.name)
