"""Beside Kubernetes' own: the API server's quota on requests, LimitRange, and in-place resize."""

from __future__ import annotations

import pytest

from hami_operator.sandbox.api import pod_path
from hami_operator.sandbox.errors import ApiError
from tests.cluster.whole.stage import container, until

from .stage import GPU, MEM, QuotaStage

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


async def test_the_api_servers_quota_on_requests_refuses_the_creation_and_ours_the_placement(stage: QuotaStage) -> None:
    await stage.limit({MEM: 1000})
    path = f"/api/v1/namespaces/{stage.namespace}/resourcequotas"
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "core"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "2"}},
    }
    await stage.api.post(path, body)

    async def counted() -> bool:
        return "hard" in (await stage.api.get(f"{path}/core")).get("status", {})

    await until("the quota controller has seen the object", counted)
    await stage.create("one", container(gpu=1, mem=1000))
    await stage.running("one")
    await stage.create("two", container(gpu=1, mem=1000))
    await stage.refused("two", "ResourceQuotaNotFit")
    with pytest.raises(ApiError, match="exceeded quota: core"):
        await stage.create("three", container(gpu=1, mem=1000))


async def test_defaults_of_a_limit_range_are_charged(stage: QuotaStage) -> None:
    limits = [{"type": "Container", "default": {"nvidia.com/gpumem": "700"}}]
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": limits}}
    await stage.api.post(f"/api/v1/namespaces/{stage.namespace}/limitranges", body)
    await stage.limit({MEM: 1000})
    await stage.create("one", container(gpu=1))
    await stage.running("one")
    await stage.summary("gpumem 700/1000")
    await stage.create("two", container(gpu=1))
    assert "asked 700, used 700, hard 1000" in await stage.refused("two", "ResourceQuotaNotFit")


async def test_cards_of_a_running_pod_cannot_be_resized(stage: QuotaStage) -> None:
    await stage.limit({GPU: 4, MEM: 4000})
    await stage.create("one", container(gpu=1, mem=1000))
    await stage.running("one")
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "3000"}
    patch = {"spec": {"containers": [{"name": "main", "resources": {"limits": limits, "requests": limits}}]}}
    with pytest.raises(ApiError, match="only cpu and memory resources are mutable"):
        await stage.api.patch(
            f"{pod_path(stage.namespace, 'one')}/resize", patch, "application/strategic-merge-patch+json"
        )
    await stage.summary("gpu 1/4, gpumem 1000/4000")


async def test_a_pod_behind_kueues_gate_is_charged_nothing_and_afterwards_like_any_other(stage: QuotaStage) -> None:
    await stage.limit({MEM: 1000})
    await stage.create("held", container(gpu=1, mem=1000), schedulingGates=[{"name": "kueue.x-k8s.io/admission"}])
    await stage.create("one", container(gpu=1, mem=1000))
    await stage.running("one")
    await stage.summary("gpumem 1000/1000")
    await stage.api.patch(pod_path(stage.namespace, "held"), {"spec": {"schedulingGates": None}})
    assert "asked 1000, used 1000, hard 1000" in await stage.refused("held", "ResourceQuotaNotFit")
    await stage.api.delete(pod_path(stage.namespace, "one"))
    await stage.running("held")
    await stage.summary("gpumem 1000/1000")
