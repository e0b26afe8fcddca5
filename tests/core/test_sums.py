"""Sums by parts are always the sum of what is there."""

from __future__ import annotations

import random

from hami_operator.core.fit import NOTHING, Amounts
from hami_operator.core.sums import Sums, sum_of


def test_a_sum_is_that_of_what_is_there_after_any_changes() -> None:
    chance = random.Random(3)
    sums, there = Sums(), dict[str, Amounts]()
    assert sums.total == NOTHING
    for step in range(3000):
        name = f"p{chance.randrange(300 if step < 2000 else 20)}"
        if chance.random() < 0.4:
            there.pop(name, None)
            sums.drop(name)
        else:
            there[name] = Amounts(chance.randrange(4), chance.randrange(50_000), chance.randrange(200))
            sums.put(name, there[name])
        assert sums.total == sum_of(there.values())
