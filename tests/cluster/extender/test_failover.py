"""Replicas of kube-scheduler and operator: the operator that decides is the one beside the elected kube-scheduler."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from hami_operator.sandbox.installation import Companion
from tests.cluster.quota.stage import QuotaStage
from tests.cluster.whole.stage import container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

LEASE = "/apis/coordination.k8s.io/v1/namespaces/hami-system/leases/hami-operator"
T4 = {"annotations": {"nvidia.com/use-gputype": "T4"}}


async def leading(companion: Companion) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{companion.url}/metrics") as response:
        return "hami_operator_leading 1.0" in await response.text()


async def leaders(stage: QuotaStage) -> list[Companion]:
    return [each for each in stage.installation.operators if await leading(each)]


@pytest_asyncio.fixture(loop_scope="session")
async def standby(stage: QuotaStage) -> AsyncIterator[Companion]:
    """A second replica that waits."""
    await until("somebody leads", lambda: leaders(stage))
    yield await stage.installation.start_operator()
    while len(stage.installation.operators) > 1:
        spare = next(each for each in stage.installation.operators if each not in await leaders(stage))
        stage.installation.kill(spare)


async def running(stage: QuotaStage, count: int, seconds: float = 60.0) -> None:
    async def all_run() -> bool:
        phases = Counter(pod["status"]["phase"] for pod in await stage.pods())
        assert phases["Failed"] == 0
        return phases["Running"] == count

    await until(f"{count} pods run", all_run, seconds)


async def test_a_replica_killed_in_the_middle_of_a_burst_is_followed_by_the_other(
    stage: QuotaStage, standby: Companion
) -> None:
    (leader,) = await leaders(stage)
    assert leader is not standby
    names = [f"p{number:02}" for number in range(24)]
    await asyncio.gather(*(stage.create(name, container(gpu=1, mem=2000), metadata=T4) for name in names))

    async def some() -> bool:
        return sum(bool(pod["spec"].get("nodeName")) for pod in await stage.pods()) >= 4

    await until("some are bound", some)
    stage.installation.kill(leader)
    await running(stage, len(names))
    assert await leaders(stage) == [standby]
    holder = (await stage.api.get(LEASE))["spec"]["holderIdentity"]
    assert holder.startswith("hami-operator-")
    await stage.settled()


async def test_an_operator_killed_alone_is_missed_until_it_is_back(stage: QuotaStage) -> None:
    """Its kube-scheduler goes on leading and asks in vain; nothing is placed without us."""
    (leader,) = await until("one leads", lambda: leaders(stage))
    stage.sandbox.end(leader.pid)
    await stage.create("p", container(gpu=1, mem=1000))
    message = await stage.refused("p", "connection refused")
    assert "filter" in message
    stage.installation.kill(leader)
    await stage.installation.start_operator()
    await stage.running("p", 60)
    await stage.settled()
