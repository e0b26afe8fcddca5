"""Each kind of advice followed on the real API server: the pod waits, does what the page says, and starts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from hami_operator.sandbox.api import node_path

from .stage import GPU, Json, Stage, container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

A100, A30 = {"kubernetes.io/hostname": "a100-80-0"}, {"kubernetes.io/hostname": "a30-0"}
QUOTAS = "/apis/hami-operator.io/v1alpha1/namespaces/{}/extendedresourcequotas"
TAINT = {"key": "team", "value": "vision", "effect": "NoSchedule"}


@dataclass
class Wish:
    """A pod that is to start: what its container asks, its annotations, and the rest of its spec."""

    limits: dict[str, object]
    spec: Json = field(default_factory=lambda: {"nodeSelector": A100})
    annotations: dict[str, str] = field(default_factory=dict)

    async def create(self, stage: Stage, name: str) -> None:
        metadata = {"annotations": self.annotations}
        await stage.create(name, container(**self.limits), metadata=metadata, **self.spec)


Follow = Callable[[Stage, Wish, "re.Match[str]"], Awaitable[None]]


async def asks_for_less(stage: Stage, wish: Wish, said: re.Match[str]) -> None:
    wish.limits = {**wish.limits, said["key"]: said["amount"]}
    await stage.delete("p")
    await wish.create(stage, "p2")


async def other_ends(stage: Stage, wish: Wish, said: re.Match[str]) -> None:
    assert said["namespace"] == stage.namespace
    await stage.delete(said["pod"])


async def quota_is_raised(stage: Stage, wish: Wish, said: re.Match[str]) -> None:
    path = f"{QUOTAS.format(stage.namespace)}/{said['quota']}"
    before = (await stage.api.get(path))["spec"]["hard"][said["key"]]
    await stage.api.patch(path, {"spec": {"hard": {said["key"]: str(int(before) + int(said["amount"]))}}})


async def tolerates(stage: Stage, wish: Wish, said: re.Match[str]) -> None:
    toleration = {"key": said["key"], "operator": "Equal", "value": said["value"], "effect": said["effect"]}
    wish.spec = {**wish.spec, "tolerations": [toleration]}
    await stage.delete("p")
    await wish.create(stage, "p2")


async def drops_field(stage: Stage, wish: Wish, said: re.Match[str]) -> None:
    wish.spec = {key: value for key, value in wish.spec.items() if key != said["field"]}
    await stage.delete("p")
    await wish.create(stage, "p2")


async def drops_annotation(stage: Stage, wish: Wish, said: re.Match[str]) -> None:
    del wish.annotations[said["key"]]
    await stage.delete("p")
    await wish.create(stage, "p2")


@dataclass(frozen=True)
class Case:
    """A pod that waits, what is in its way, the sentence, and what is done then."""

    waits: Callable[[], Wish]
    sentence: str
    follow: Follow
    holders: tuple[dict[str, object], ...] = ()
    hard: dict[str, str] = field(default_factory=dict)


def away(key: str, value: str) -> Json:
    expression = {"key": key, "operator": "In", "values": [value]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


LARGE = ({"gpu": 1, "mem": 70000}, {"gpu": 1, "mem": 72000})
LESS = r"fits on a100-80-0 with (?P<key>{}) (?P<amount>\d+) or less"
CASES = {
    "memory": Case(lambda: Wish({"gpu": 1, "mem": 60000}), LESS.format("nvidia.com/gpumem"), asks_for_less, LARGE),
    "percentage": Case(
        lambda: Wish({"gpu": 1, "percent": 50}), LESS.format("nvidia.com/gpumem-percentage"), asks_for_less, LARGE
    ),
    "cores": Case(
        lambda: Wish({"gpu": 1, "mem": 100, "cores": 60}),
        LESS.format("nvidia.com/gpucores"),
        asks_for_less,
        ({"gpu": 1, "mem": 100, "cores": 50}, {"gpu": 1, "mem": 100, "cores": 70}),
    ),
    "count": Case(
        lambda: Wish({"gpu": 4, "mem": 100}), rf"fits on a100-80-0 with (?P<key>{GPU}) (?P<amount>2)", asks_for_less
    ),
    "pod ends": Case(
        lambda: Wish({"gpu": 1, "mem": 60000}),
        r"fits when (?P<namespace>\S+)/(?P<pod>holder-0) ends \(on a100-80-0\)",
        other_ends,
        LARGE,
    ),
    "quota": Case(
        lambda: Wish({"gpu": 1, "mem": 5000}),
        r"fits when quota \S+/(?P<quota>team) gets (?P<key>limits.nvidia.com/gpumem) (?P<amount>2500) more",
        quota_is_raised,
        ({"gpu": 1, "mem": 500},),
        {"limits.nvidia.com/gpumem": "3000"},
    ),
    "toleration": Case(
        lambda: Wish({"gpu": 1, "mem": 100}, {"nodeSelector": A30}),
        r"fits on a30-0 with a toleration for (?P<key>team)=(?P<value>vision):(?P<effect>NoSchedule)",
        tolerates,
    ),
    "selector": Case(
        lambda: Wish({"gpu": 1, "mem": 100}, {"nodeSelector": {"zone": "moon"}}),
        r"fits on \S+ without spec\.(?P<field>nodeSelector)",
        drops_field,
    ),
    "affinity": Case(
        lambda: Wish({"gpu": 1, "mem": 100}, away("zone", "moon")),
        r"fits on \S+ without spec\.(?P<field>affinity)\.nodeAffinity",
        drops_field,
    ),
    "annotation": Case(
        lambda: Wish({"gpu": 1, "mem": 100}, {}, {"nvidia.com/use-gputype": "H100"}),
        r"fits on \S+ without the annotation (?P<key>nvidia.com/use-gputype)",
        drops_annotation,
    ),
}


@pytest_asyncio.fixture(loop_scope="session")
async def tainted(stage: Stage) -> AsyncIterator[None]:
    """The A30 node is for one team only, for the time of a test."""
    await stage.api.patch(node_path("a30-0"), {"spec": {"taints": [TAINT]}})
    yield
    await stage.api.patch(node_path("a30-0"), {"spec": {"taints": None}})


async def advised(stage: Stage, sentence: str) -> re.Match[str]:
    """What the page says of the pod, once it says this."""

    async def ask() -> Any:
        url = f"{stage.operator.url}/api/v1/workloads/{stage.namespace}/p"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            told = await response.json() if response.status == 200 else {}
        found = (re.fullmatch(sentence, line) for line in told.get("advice") or ())
        return next(filter(None, found), None)

    return await until(f"the page says {sentence}", ask)


@pytest.mark.usefixtures("tainted")
@pytest.mark.parametrize("name", CASES)
async def test_a_pod_that_does_what_it_is_told_starts(stage: Stage, name: str) -> None:
    case = CASES[name]
    if case.hard:
        quota = {"apiVersion": "hami-operator.io/v1alpha1", "kind": "ExtendedResourceQuota"}
        await stage.api.post(
            QUOTAS.format(stage.namespace), {**quota, "metadata": {"name": "team"}, "spec": {"hard": case.hard}}
        )
    holders = [f"holder-{number}" for number in range(len(case.holders))]
    for holder, limits in zip(holders, case.holders, strict=True):
        await stage.create(holder, container(**limits), nodeSelector=A100)
    await asyncio.gather(*map(stage.running, holders))
    wish = case.waits()
    await wish.create(stage, "p")
    await stage.refused("p", "")
    await case.follow(stage, wish, await advised(stage, case.sentence))
    await stage.running("p" if case.follow in (other_ends, quota_is_raised) else "p2")
