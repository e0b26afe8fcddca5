"""The page and the metrics of an operator at work: what they show is what the cluster has."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

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
