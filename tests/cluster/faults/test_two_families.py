"""A pod of two families whose plugins share the node lock, on a node that the test itself plays: both serve it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hami_operator.core import protocol
from hami_operator.core.model import Device
from hami_operator.sandbox.api import node_path, pod_path
from hami_operator.sandbox.errors import ApiError
from hami_operator.sandbox.podstatus import node_object
from hami_operator.sandbox.podview import annotations_of
from tests.cluster.whole.stage import container, until

from .stage import TO_ALLOCATE, FaultStage, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

NODE = "two-families"
CARDS = {
    "hami.io/node-nvidia-register": Device("GPU-a", 0, 10, 15360, 100, "NVIDIA-Tesla T4", mode="hami-core"),
    "hami.io/node-dcu-register": Device("DCU-a", 0, 4, 65520, 100, "DCU-K100_AI", mode="hami-core"),
}
AMOUNTS = {"nvidia.com/gpu": 10, "hygon.com/dcunum": 4}
NVIDIA_LIST, HYGON_LIST = TO_ALLOCATE, "hami.io/dcu-devices-to-allocate"


@pytest_asyncio.fixture(loop_scope="session")
async def node(stage: FaultStage) -> AsyncIterator[str]:
    """A node with a card of each family and no kubelet: what plugins do there is done by the test."""
    made = node_object(NODE, AMOUNTS, time.time(), {})
    registers = {key: protocol.encode_devices_text([card]) for key, card in CARDS.items()}
    made["metadata"]["annotations"] = {**made["metadata"].get("annotations", {}), **registers}
    await stage.api.post("/api/v1/nodes", made)
    try:
        yield NODE
    finally:
        await stage.empty()
        with contextlib.suppress(ApiError):
            await stage.api.delete(node_path(NODE))


async def serve(stage: FaultStage, name: str, key: str) -> None:
    """A plugin empties its list, sets the phase and takes the lock away."""
    await stage.annotate(pod_path(stage.namespace, name), {key: ";", protocol.BIND_PHASE: "success"})
    await stage.annotate(node_path(NODE), {protocol.NODE_LOCK: None})


async def phase(stage: FaultStage, name: str) -> str | None:
    return annotations_of(await stage.pod(name) or {}).get(protocol.BIND_PHASE)


async def test_the_second_plugin_finds_the_lock_and_the_phase_that_the_first_took_away(
    stage: FaultStage, node: str
) -> None:
    await stage.create(
        "both", container("a", gpu=1, mem=1000), container("b", **{"hygon.com/dcunum": 1}), nodeSelector=on(node)
    )
    given = annotations_of(await stage.bound("both"))
    assert given[NVIDIA_LIST].startswith("GPU-a,NVIDIA,1000,")
    assert given[HYGON_LIST].startswith(";DCU-a,DCU,")
    await stage.create("next", container(gpu=1, mem=1000), nodeSelector=on(node))
    await stage.event("next", "NodeLocked")

    await serve(stage, "both", NVIDIA_LIST)

    async def again() -> bool:
        return await phase(stage, "both") == "allocating"

    await until("the phase is allocating again", again)
    assert (await stage.lock(node) or "").endswith(f",{stage.namespace},both")
    assert stage.bindings("next") == 0

    await serve(stage, "both", HYGON_LIST)
    await stage.bound("next")
    assert await phase(stage, "both") == "success"
    assert (await stage.lock(node) or "").endswith(f",{stage.namespace},next")
    await serve(stage, "next", NVIDIA_LIST)
