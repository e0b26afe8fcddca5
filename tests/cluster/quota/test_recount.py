"""After many random steps, some of them kills, used is what a recount of the API server's pods says."""

from __future__ import annotations

import os
import random

import pytest

from hami_operator.sandbox.errors import ApiError
from tests.cluster.whole.stage import Json, container, until

from .stage import CORES, GPU, MEM, QuotaStage

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

#: Ten thousand take about ten minutes on two cores; ``QUOTA_STEPS`` asks for them.
STEPS = int(os.environ.get("QUOTA_STEPS", "300"))
HARD = {GPU: 40, MEM: 30_000, CORES: 400}
ALLOCATED = "hami.io/vgpu-devices-allocated"


def recount(pods: list[Json]) -> dict[str, int]:
    """By the wire's text alone: none of the operator's code counts here. For pods of app containers."""
    used = dict.fromkeys(HARD, 0)
    for pod in pods:
        text = (pod["metadata"].get("annotations") or {}).get(ALLOCATED, "")
        if pod["spec"].get("nodeName") and pod["status"]["phase"] not in ("Succeeded", "Failed"):
            for entry in filter(None, text.replace(";", ":").split(":")):
                _, _, memory, cores = entry.split(",")
                used[GPU] += 1
                used[MEM] += int(memory)
                used[CORES] += int(cores)
    return used


async def test_used_is_a_recount_of_the_api_servers_pods_after_random_steps_and_kills(stage: QuotaStage) -> None:
    chance = random.Random(int(os.environ.get("QUOTA_SEED", "11")))
    await stage.limit(HARD)
    shapes: list[dict[str, int]] = [
        {"gpu": 1, "mem": 700, "cores": 10},
        {"gpu": 2, "mem": 1500},
        {"gpu": 1, "percent": 20},
        {"gpu": 1, "percent": 50, "cores": 25},
    ]
    alive: list[str] = []
    for step in range(STEPS):
        if step % 100 == 50:
            stage.installation.kill(stage.operator)
            await stage.installation.start_operator()
        if alive and chance.random() < 0.4:
            name = alive.pop(chance.randrange(len(alive)))
            try:
                await stage.delete(name)
            except ApiError as error:
                raise AssertionError(f"step {step}: {name}: {error}") from None
        else:
            name = f"p{step}"
            await stage.create(name, container(**chance.choice(shapes)))
            alive.append(name)
        if step % 20 == 0:
            used = recount(await stage.pods())
            assert all(used[key] <= HARD[key] for key in HARD), f"step {step}: {used}"
    seen: list[object] = []

    async def same() -> bool:
        pods, status = await stage.pods(), (await stage.quota())["status"]
        used = recount(pods)
        seen[:] = [used, status["used"], status["pending"]]
        waiting = sum(not pod["spec"].get("nodeName") for pod in pods)
        return status["used"] == {key: str(used[key]) for key in HARD} and status["pending"] == waiting

    try:
        await until("used is a recount, and everybody else waits", same, 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None
    assert await stage.metric("hami_operator_audit_differences") == 0
