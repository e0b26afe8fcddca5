"""The checkers of real plugins say what is wrong, loudly. A sandbox of its own, since its verdict is bad."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from hami_operator.core.model import Share
from hami_operator.core.protocol import BIND_PHASE, Phase
from hami_operator.sandbox import Kind, Node, NodeSpec, Sandbox, Settings, no_hollow_nodes
from hami_operator.sandbox.podview import annotations_of

from .binding import Hand

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    kinds = [Kind.SIMULATED] + [Kind.HOLLOW] * (no_hollow_nodes() is None)
    specs = [NodeSpec("a30", 2, kind=kind) for kind in kinds]
    settings = Settings(name="checked", parent=tmp_path_factory.mktemp("sandboxes"))
    started = asyncio.run(Sandbox.start(specs, settings))
    yield started
    started.stop()


@pytest_asyncio.fixture
async def hand(own: Sandbox, kind: Kind) -> AsyncIterator[Hand]:
    (node,) = (node for node in own.nodes if node.kind is kind)
    async with own.api() as api:
        hand = Hand(api, node)
        yield hand
        await hand.clean()
        await node.well()


def said(own: Sandbox, node: Node) -> list[str]:
    return own.verdict().nodes[node.name].violations


@pytest.mark.parametrize(
    ("share", "problem"),
    [
        (Share("GPU-unknown", "NVIDIA", 1, 1), "card GPU-unknown is not on this node"),
        (1, "24577 of 24576 MiB"),
        (2, "101 of 100 cores"),
    ],
    ids=["foreign", "memory", "cores"],
)
async def test_what_the_node_does_not_have_fails_the_pod_and_the_verdict(
    own: Sandbox, hand: Hand, share: Share | int, problem: str
) -> None:
    amounts = {1: {"memory": 24577}, 2: {"cores": 101}}
    wanted = share if isinstance(share, Share) else hand.share(0, **amounts[share])
    before = len(said(own, hand.node))
    pod = await hand.run([[wanted]])
    assert pod["status"]["reason"] == "UnexpectedAdmissionError"
    assert problem in pod["status"]["message"]
    assert annotations_of(pod)[BIND_PHASE] == Phase.FAILED
    assert await hand.lock() is None
    (violation,) = said(own, hand.node)[before:]
    assert problem in violation
    assert not own.verdict().ok


async def test_pods_together_may_not_pass_a_card_and_what_ended_does_not_count(own: Sandbox, hand: Hand) -> None:
    before = len(said(own, hand.node))
    first = await hand.run([[hand.share(0, 20000, 0)]])
    second = await hand.run([[hand.share(0, 5000, 0)]])
    assert second["status"]["phase"] == "Failed"
    name = first["metadata"]["name"]
    await hand.node.exit(f"default/{name}", "c0")
    await hand.pod_when(name, lambda pod: pod["status"]["phase"] == "Succeeded", "it ends")
    third = await hand.run([[hand.share(0, 5000, 0)]])
    assert third["status"]["phase"] == "Running"
    (violation,) = said(own, hand.node)[before:]
    assert "25000 of 24576 MiB" in violation


async def test_a_restarted_plugin_still_knows_what_it_gave_out(own: Sandbox, hand: Hand) -> None:
    before = len(said(own, hand.node))
    await hand.run([[hand.share(0, 20000, 0)]])
    await hand.node.kill_plugin()
    await hand.allocatable(0)
    await hand.node.start_plugin()
    await hand.allocatable(20)
    assert (await hand.run([[hand.share(0, 5000, 0)]]))["status"]["phase"] == "Failed"
    assert len(said(own, hand.node)) == before + 1


async def test_a_card_that_was_known_to_be_ill_may_not_be_given_out(own: Sandbox, hand: Hand) -> None:
    await hand.node.card_unhealthy(0)
    node = await hand.allocatable(10)
    positions = [[hand.share(0)]]
    name = await hand.create(positions)
    await hand.bind(name, positions, bound=2_000_000_000)  # long after the card fell ill
    assert "was unhealthy" in (await hand.result(name))["status"]["message"]
    assert node["status"]["allocatable"]
    assert any("was unhealthy" in text for text in said(own, hand.node))
