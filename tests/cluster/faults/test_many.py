"""Two hundred pods at once: all run, no card is given twice, and nothing is done more often than it has to be."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.whole.stage import container, until

from .stage import FaultStage

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

PODS, NODES = 200, 20


async def test_two_hundred_pods_at_once_all_run_and_each_is_bound_once(stage: FaultStage) -> None:
    await stage.nodes(f"t4:4x{NODES}")
    before = stage.proxy.count("POST", "/binding$")
    sizes = [container(gpu=1 + number % 2, mem=1000 + 250 * (number % 5), cores=5) for number in range(PODS)]
    room = asyncio.Semaphore(20)

    async def make(number: int) -> None:
        async with room:
            await stage.create(f"p{number}", sizes[number])

    await asyncio.gather(*(make(number) for number in range(PODS)))

    async def all_run() -> bool:
        return all(pod["status"]["phase"] == "Running" for pod in await stage.pods())

    await until(f"{PODS} pods run", all_run, 90)
    assert stage.proxy.count("POST", "/binding$") - before == PODS
