"""Plugins that know no lock and guess the pod of a call: one pod after the other on a node, each with its own cards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import pytest

from hami_operator.core import protocol
from hami_operator.sandbox import Node
from hami_operator.sandbox.api import node_path, pod_path
from hami_operator.sandbox.podview import annotations_of
from tests.cluster.whole.stage import Json, container, until
from tests.faultproxy import Kind

from .stage import FaultStage, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


@dataclass(frozen=True)
class Family:
    """A node, its lock, what a pod asks there; the annotation that tells its cards, the variable that holds them."""

    spec: str
    lock: str
    asks: Json
    told: str
    given: str

    @property
    def key(self) -> str:
        return protocol.OWN_LOCK.format(self.lock)


SHARED = Family(
    "s60-shared:6",
    "enflame-vgpu",
    container(**{"enflame.com/vgcu": 1, "enflame.com/vgcu-percentage": 33}),
    "enflame.com/gcu-assigned-minor",
    "ENFLAME_VISIBLE_DEVICES",
)
FAMILIES = [
    SHARED,
    Family(
        "s60-drs:6",
        "enflame-drs",
        container(**{"enflame.com/drs-gcu": 3}),
        "enflame.com/gcu-assigned-minor",
        "ENFLAME_VISIBLE_DEVICES",
    ),
    Family(
        "trn1:16",
        "aws-neuron",
        container(**{"aws.amazon.com/neuron": 1}),
        "AWS_NEURON_IDS",
        "AWS_NEURON_VISIBLE_DEVICES",
    ),
    Family(
        "mr-v100:6",
        "iluvatar",
        container(**{"iluvatar.ai/vgpu": 1, "iluvatar.ai/vcuda-memory": 64, "iluvatar.ai/vcuda-core": 50}),
        "iluvatar.ai/predicate-gpu-idx-0",
        "ILUVATAR_COREX_VISIBLE_DEVICES",
    ),
]


async def own_card(stage: FaultStage, family: Family, name: str) -> str:
    """The card of a pod once it runs: what its container was given is what was decided for it."""
    pod = await stage.running(name)
    node = stage.sandbox.node(pod["spec"]["nodeName"])
    given = (await node.environment(f"{stage.namespace}/{name}", "main"))[family.given]
    assert given == annotations_of(pod)[family.told], name
    return given


async def lock_of(stage: FaultStage, family: Family, node: Node) -> str | None:
    return annotations_of(await stage.api.get(node_path(node.name))).get(family.key)


async def free(stage: FaultStage, family: Family, node: Node) -> None:
    async def ask() -> bool:
        return await lock_of(stage, family, node) is None

    await until("the node's lock is released", ask)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.lock)
async def test_pods_of_a_burst_get_exactly_their_own_cards(stage: FaultStage, family: Family) -> None:
    (node,) = await stage.nodes(family.spec)
    await node.slow(0.1)
    before = stage.proxy.count("PATCH", rf"^{node_path(node.name)}$")
    first = stage.at_binding(Kind.HOLD, "p0")
    await stage.create("p0", family.asks, nodeSelector=on(node))
    await first.hit.wait()
    others = [f"p{number}" for number in range(1, 6)]
    await asyncio.gather(*(stage.create(name, family.asks, nodeSelector=on(node)) for name in others))
    await asyncio.gather(*(stage.event(name, "NodeLocked") for name in others))
    assert [stage.bindings(name) for name in others] == [0] * len(others)
    first.release()
    cards = await asyncio.gather(*(own_card(stage, family, name) for name in ("p0", *others)))
    assert len(set(cards)) == len(cards)
    await free(stage, family, node)
    writes = stage.proxy.count("PATCH", rf"^{node_path(node.name)}$") - before
    assert writes <= len(cards) + 1, "a lock is handed on with one write, and released once in the end"
    await stage.empty()


@pytest.mark.parametrize("served", ["before", "after"])
async def test_an_operator_killed_with_such_a_lock_is_followed_by_one_that_goes_on(
    stage: FaultStage, served: str
) -> None:
    """``served``: whether the plugin serves the holder before or after the next operator is there."""
    (node,) = await stage.nodes(SHARED.spec)
    await node.slow(4.0 if served == "after" else 1.5)
    await stage.create("p0", SHARED.asks, nodeSelector=on(node))
    await stage.bound("p0")
    await stage.create("p1", SHARED.asks, nodeSelector=on(node))

    async def reserved() -> bool:
        return bool((await stage.ledger())["assumed"])

    await until("p1 has its cards reserved and waits for the lock", reserved)
    await stage.kill()
    if served == "before":
        await stage.running("p0")
    assert (await lock_of(stage, SHARED, node) or "").endswith(f",{stage.namespace},p0")
    await stage.start()
    cards = [await own_card(stage, SHARED, name) for name in ("p0", "p1")]
    assert len(set(cards)) == len(cards)
    await free(stage, SHARED, node)
    await stage.empty()


async def test_a_pod_that_fails_on_its_node_hands_the_lock_on(stage: FaultStage) -> None:
    first, second = await stage.nodes("s60-shared:2x2")
    await first.fail_allocate(1)
    await stage.create("p0", SHARED.asks, nodeSelector=on(first))
    await stage.phase("p0", "Failed")
    await free(stage, SHARED, first)
    await stage.create("p1", SHARED.asks, affinity={}, nodeSelector=on(second))
    await own_card(stage, SHARED, "p1")
    await stage.empty()


async def test_a_lock_of_a_pod_that_is_never_served_expires_with_a_warning(stage: FaultStage) -> None:
    (node,) = await stage.nodes(SHARED.spec)
    await node.slow(3.0)
    await stage.create("p0", SHARED.asks, nodeSelector=on(node))
    await stage.bound("p0")
    held = protocol.format_lock(time.time() - 601, stage.namespace, "p0")
    await stage.annotate(node_path(node.name), {SHARED.key: held})
    await stage.create("p1", SHARED.asks, nodeSelector=on(node))
    forced = await stage.event("p1", "NodeLockForced")
    assert forced["type"] == "Warning"
    assert "the pod waits for its cards" in forced["note"]
    for name in ("p0", "p1"):
        await own_card(stage, SHARED, name)
    await free(stage, SHARED, node)
    await stage.empty()


async def test_a_pod_that_runs_without_its_mark_loses_the_lock_with_a_warning(stage: FaultStage) -> None:
    """A plugin of a release that sets no mark: its pods are behind it when they run."""
    (node,) = await stage.nodes(SHARED.spec)
    await stage.create("holder", container(cpu="10m"), schedulerName="their-scheduler")
    metadata = {"name": "holder", "annotations": {"enflame.com/gcu-assigned": "false"}}
    target = {"apiVersion": "v1", "kind": "Node", "name": node.name}
    await stage.api.post(f"{pod_path(stage.namespace, 'holder')}/binding", {"metadata": metadata, "target": target})
    await stage.running("holder")
    held = protocol.format_lock(time.time(), stage.namespace, "holder")
    await stage.annotate(node_path(node.name), {SHARED.key: held})
    await stage.create("p", SHARED.asks, nodeSelector=on(node))
    await stage.event("p", "NodeLocked")
    forced = await stage.event("p", "NodeLockForced")
    assert "the pod runs, though its device plugin does not say that it has its cards" in forced["note"]
    await own_card(stage, SHARED, "p")
    await free(stage, SHARED, node)
    await stage.empty()
