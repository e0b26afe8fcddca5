"""After many random steps, some of them kills, used is what a recount of the API server's pods says."""

from __future__ import annotations

import os
import random

import pytest

from tests.cluster.whole.stage import Json, container, until

from .stage import CORES, GPU, MEM, QuotaStage

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

#: Ten thousand take fifteen to twenty minutes on two cores; ``QUOTA_STEPS`` asks for them.
STEPS = int(os.environ.get("QUOTA_STEPS", "300"))
#: Steps from one comparison to the next; in the middle of them the operator is killed.
STRETCH = 100
#: Pods that there are about: many more than there is room for, and few enough that most that end held something.
POPULATION = 40
HARD = {GPU: 40, MEM: 30_000, CORES: 400}
SHAPES: list[dict[str, int]] = [
    {"gpu": 1, "mem": 700, "cores": 10},
    {"gpu": 2, "mem": 1500},
    {"gpu": 1, "percent": 20},
    {"gpu": 1, "percent": 50, "cores": 25},
]
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


async def create(stage: QuotaStage, name: str, chance: random.Random) -> None:
    await stage.create(name, container(**chance.choice(SHAPES)))


async def end(stage: QuotaStage, name: str, chance: random.Random) -> None:
    """Its container ends, well or not, if it runs."""
    pod = await stage.pod(name)
    assert pod is not None, name
    if pod["status"]["phase"] == "Running":
        node = stage.sandbox.node(pod["spec"]["nodeName"])
        await node.exit(f"{stage.namespace}/{name}", "main", chance.choice((0, 1)))


async def agreed(stage: QuotaStage) -> dict[str, int]:
    """The recount, once the status says the same and everybody who has no node is waiting because of the quota."""
    seen: list[object] = []

    async def same() -> bool:
        pods, status = await stage.pods(), (await stage.quota())["status"]
        used = recount(pods)
        waiting = sum(not pod["spec"].get("nodeName") for pod in pods)
        seen[:] = [used, waiting, status["used"], status["pending"]]
        assert all(used[key] <= HARD[key] for key in HARD), seen
        return status["used"] == {key: str(used[key]) for key in HARD} and status["pending"] == waiting

    try:
        await until("used is a recount, and everybody else waits", same, 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None
    return recount(await stage.pods())


@pytest.mark.timeout(300 + STEPS // 5)
async def test_used_is_a_recount_of_the_api_servers_pods_after_random_steps_and_kills(stage: QuotaStage) -> None:
    chance = random.Random(int(os.environ.get("QUOTA_SEED", "11")))
    await stage.limit(HARD)
    there: list[str] = []
    full = kills = 0
    for step in range(STEPS):
        if step % STRETCH == STRETCH // 2:
            stage.installation.kill(stage.operator)
            await stage.installation.start_operator()
            kills += 1
        if chance.random() < (0.7 if len(there) < POPULATION else 0.2):
            there.append(f"p{step}")
            await create(stage, there[-1], chance)
        elif there and chance.random() < 0.5:
            await end(stage, chance.choice(there), chance)
        elif there:
            await stage.delete(there.pop(chance.randrange(len(there))))
        if step % STRETCH == STRETCH - 1:
            used = await agreed(stage)
            full += used[MEM] > HARD[MEM] - 7680  # less is left than the largest card's share takes
            print(f"step {step + 1}, {kills} kills: {used}", flush=True)
    assert kills == full == STEPS // STRETCH, "the quota is what holds pods back at every comparison"
    assert await stage.metric("hami_operator_audit_differences") == 0
