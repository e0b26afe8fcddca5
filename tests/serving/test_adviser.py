"""Advice that is worked out while decisions go on."""

from __future__ import annotations

import asyncio

import pytest

from hami_operator.core.advice import advise
from hami_operator.core.model import Pod
from hami_operator.serving.adviser import Adviser
from tests.serving.stage import Stage, busy, card, large, share

pytestmark = pytest.mark.asyncio


def waiting(stage: Stage, name: str) -> Pod:
    (pod,) = [pod for pod in stage.world.queue.pods() if pod.key.name == name]
    return pod


async def test_others_have_their_turn_between_the_steps() -> None:
    stage = large(300)
    pod = stage.pending("team-1/waits", gpu=1, mem=60000)
    expected = advise(pod, stage.world.cluster, stage.world.now())
    work = asyncio.ensure_future(Adviser().advice(pod, stage.world))
    turns = 0
    while not work.done():
        stage.running(f"team-1/late-{turns}", "node-0299", share(card("node-0299", 0), 1))
        turns += 1
        await asyncio.sleep(0)
    assert turns > 3
    assert await work == expected != []
    assert stage.world.cluster.ledger.audit() == []


async def test_it_is_worked_out_once_for_many_who_ask() -> None:
    stage, adviser = busy(), Adviser()
    pod = waiting(stage, "chat-9")
    first, *others = await asyncio.gather(*(adviser.advice(pod, stage.world) for _ in range(5)))
    assert first == advise(pod, stage.world.cluster, stage.world.now())
    assert all(answer is first for answer in others)


async def test_who_would_have_to_wait_too_long_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hami_operator.serving.adviser.PATIENCE_SECONDS", 0.0)
    stage = busy()
    assert await Adviser().advice(waiting(stage, "chat-9"), stage.world) is None
