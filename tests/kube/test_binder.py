"""The part of the binder that needs no API server; ``tests/cluster/kube/test_binder.py`` has the rest."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hami_operator.core.model import PodKey
from hami_operator.kube.binder import Binder, Order, Rejected, Why
from hami_operator.kube.lockbook import Turn


class Locks:
    """The first lock is had after a moment, the second not at all."""

    def __init__(self) -> None:
        self.in_hand: set[str] = set()
        self.patience: list[float] = []
        self.released: list[str] = []

    async def take(self, node: str, pod: PodKey, patience_s: float, key: str) -> Turn:
        self.patience.append(patience_s)
        await asyncio.sleep(0.01)
        return Turn.TAKEN if key == "a" else Turn.BUSY

    async def release(self, node: str, pod: PodKey, key: str) -> None:
        self.released.append(key)

    def busy_text(self, node: str, key: str) -> str:
        return f"{node} is locked by {key}"


@pytest.mark.asyncio
async def test_all_locks_of_an_order_share_its_patience() -> None:
    """Who waits for the Binding, kube-scheduler say, has a patience of its own."""
    locks: Any = Locks()
    nobody: Any = None
    binder = Binder(nobody, locks, (1, 37), lambda _: None, lock_patience_s=5.0)
    order = Order(PodKey("default", "p", "u"), "1", "n1", {}, locks=("b", "a"))
    assert await binder.bind(order) == Rejected(Why.LOCK_BUSY, "n1 is locked by b")
    first, second = locks.patience
    assert first <= 5.0
    assert second < first
    assert locks.released == ["a"]
