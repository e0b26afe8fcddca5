"""Pods of all families at the same time: each plugin finds its own, and no card is given twice."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path

import pytest
import yaml

from hami_operator.cli.families import FAMILIES
from hami_operator.config import DevicesSection
from hami_operator.sandbox.cards import card_type
from tests.cluster.vendors.stage import Json, Stage, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
#: Every family's lock, the plugin's or ours; empty where there is none.
LOCKS = {p.key: p.lock_key for p in DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()}


def pods() -> list[Json]:
    """Two of each family with a lock, one of the others: their plugins can take two that wait for one another."""
    made = []
    for family in FAMILIES:
        pod = yaml.safe_load((EXAMPLES / family.example).read_text())
        for number in range(2 if LOCKS[card_type(family.card).habits.family] else 1):
            made.append(copy.deepcopy(pod))
            made[-1]["metadata"]["name"] += f"-{number}"
    return made


async def test_pods_of_all_families_at_once_all_run_and_leave_no_lock(stage: Stage) -> None:
    before = stage.sandbox.verdict().allocations
    made = await asyncio.gather(*(stage.create(pod) for pod in pods()))
    try:
        seen = await asyncio.gather(*(stage.running(pod["metadata"]["name"]) for pod in made))
        assert len({pod["spec"]["nodeName"] for pod in seen}) >= len(FAMILIES)
        containers = [container for pod in made for container in pod["spec"]["containers"]]
        assert stage.sandbox.verdict().allocations == before + len(containers)

        async def unlocked() -> bool:
            nodes = (await stage.api.get("/api/v1/nodes"))["items"]
            return {key for node in nodes for key in node["metadata"]["annotations"]}.isdisjoint(LOCKS.values())

        await until("no lock is left", unlocked)
    finally:
        await asyncio.gather(*(stage.delete(pod) for pod in made))
        await stage.empty()
    verdict = stage.sandbox.verdict()
    assert verdict.ok, str(verdict)
