"""The simulated kubelet: what it believes of its pods, whatever the order in which it hears of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hami_operator.sandbox.allocation import PluginNode
from hami_operator.sandbox.cards import card_type, cards_of
from hami_operator.sandbox.journal import Journal
from hami_operator.sandbox.simnode import SimulatedNode

POD: dict[str, Any] = {
    "metadata": {"namespace": "default", "name": "p", "uid": "u", "resourceVersion": "1"},
    "spec": {"nodeName": "t4-0", "containers": [{"name": "main", "image": "x"}]},
    "status": {"phase": "Pending"},
}


class Api:
    """Answers a status as the API server does; ``before_answer`` happens while the answer is on its way."""

    def __init__(self) -> None:
        self.before_answer: Any = lambda: None
        self.answered = asyncio.Event()

    async def patch(self, path: str, body: dict[str, Any], kind: str) -> dict[str, Any]:
        self.before_answer()
        self.answered.set()
        return {**POD, "metadata": {**POD["metadata"], "resourceVersion": "2"}, "status": body["status"]}


def node_of(api: Any, folder: Path) -> SimulatedNode:
    card = card_type("t4")
    release = card.habits.releases["2.7"]
    plugin_node = PluginNode("t4-0", cards_of("t4-0", card, 1, release), card.habits, release)
    return SimulatedNode(plugin_node, api, Journal(folder / "journal.jsonl"))


@pytest.mark.asyncio
@pytest.mark.parametrize("goes", [False, True])
async def test_an_answer_that_comes_after_its_pod_has_gone_brings_nobody_back(tmp_path: Path, goes: bool) -> None:
    """Else the pod would hold its cards for ever: no news of its end comes a second time."""
    api = Api()
    node = node_of(api, tmp_path)
    if goes:
        api.before_answer = lambda: node.forget("u")
    node.see(POD)
    await asyncio.wait_for(api.answered.wait(), 10)
    await asyncio.gather(*node._tasks)
    assert node.uids == (set() if goes else {"u"})
    assert [one["Pod"] for one in node.containers()] == ([] if goes else ["default/p"])
