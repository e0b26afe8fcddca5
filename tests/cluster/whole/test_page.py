"""The page and the metrics of an operator at work: what they show is what the cluster has."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from hami_operator.sandbox.installation import manifests

from .stage import Stage, container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


async def read(stage: Stage, path: str) -> Any:
    """JSON of the operator; None where it says 404."""
    async with aiohttp.ClientSession() as session, session.get(f"{stage.operator.url}/api/v1{path}") as response:
        return await response.json() if response.status == 200 else None


async def test_a_running_pod_is_shown_with_its_share_and_the_phase_of_its_plugin(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=3000, cores=20), container("side"))
    pod = await stage.running("p")

    async def handed_over() -> Any:
        found = await read(stage, f"/workloads/{stage.namespace}/p")
        return found if found and found["allocation"] and found["allocation"]["phase"] == "success" else None

    found = await until("the page shows the pod's cards", handed_over)
    assert found["allocation"]["node"] == pod["spec"]["nodeName"]
    assert [(row["container"], row["memory_mib"], row["cores"]) for row in found["shares"]] == [("main", 3000, 20)]
    assert found["decision"]["message"].startswith(f"find fit node({pod['spec']['nodeName']})")
    node = await read(stage, f"/nodes/{pod['spec']['nodeName']}")
    holders = {holding["pod"] for card in node["cards"] for holding in card["holdings"]}
    assert f"{stage.namespace}/p" in holders


async def test_a_pod_that_waits_is_shown_with_what_its_event_says(stage: Stage) -> None:
    await stage.create("p", container(gpu=9, mem=100))
    message = await stage.refused("p", "NodeInsufficientDevice")
    found = await read(stage, f"/workloads/{stage.namespace}/p")
    assert found["waiting"]["message"] == message
    assert found["waiting"]["state"] == "waiting"
    assert {answer["fits"] for answer in found["nodes"]} == {False}
    assert await stage.metric("hami_operator_pending_pods") >= 1


async def test_the_metrics_tell_of_the_share(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=2000))
    await stage.running("p")
    async with aiohttp.ClientSession() as session, session.get(f"{stage.operator.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    (line,) = [line for line in lines if line.startswith("hami_vgpu_memory_alloc") and f'"{stage.namespace}"' in line]
    assert line.endswith(f" {2000 * 1048576}")


async def test_the_page_of_a_pod_that_is_gone_is_not_found(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=100))
    await stage.running("p")
    await stage.delete("p")

    async def gone() -> bool:
        return await read(stage, f"/workloads/{stage.namespace}/p") is None

    await until("the page has forgotten the pod", gone)


async def token(stage: Stage, account: str) -> str:
    await stage.api.post(
        f"/api/v1/namespaces/{stage.namespace}/serviceaccounts",
        {"kind": "ServiceAccount", "metadata": {"name": account}},
    )
    path = f"/api/v1/namespaces/{stage.namespace}/serviceaccounts/{account}/token"
    made = await stage.api.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    return str(made["status"]["token"])


async def status(url: str, bearer: str = "") -> int:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status


async def test_where_tokens_are_asked_for_only_viewers_see_the_page_and_the_metrics(stage: Stage) -> None:
    component = manifests() / "components" / "authenticated" / "rbac.yaml"
    await stage.sandbox.kubectl("apply", "-f", str(component))
    viewer, stranger = await token(stage, "viewer"), await token(stage, "stranger")
    await stage.sandbox.kubectl(
        *("create", "clusterrolebinding", "viewers", "--clusterrole=hami-viewer"),
        f"--serviceaccount={stage.namespace}:viewer",
    )
    guarded = await stage.installation.start_operator({"HAMI_SERVING__ACCESS": "token"})
    try:
        for path in ("/", "/metrics", "/api/v1/nodes/a30-0"):
            assert await status(guarded.url + path) == 401
            assert await status(guarded.url + path, "made.up.token") == 401
            assert await status(guarded.url + path, stranger) == 403
            assert await status(guarded.url + path, viewer) == 200
        assert await status(f"{guarded.url}/readyz") == 200
    finally:
        stage.installation.kill(guarded)
        await stage.sandbox.kubectl("delete", "clusterrolebinding", "viewers")
        await stage.sandbox.kubectl("delete", "-f", str(component))
