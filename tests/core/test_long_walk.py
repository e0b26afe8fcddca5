"""A long random walk: the decisions of a cluster that keeps its answers are those of one without memory.

``HAMI_WALK_STEPS=100000 python -m pytest tests/core/test_long_walk.py`` walks further than every run can afford.
"""

from __future__ import annotations

import os
import random

import pytest

from .test_schedule import Twice

STEPS = int(os.environ.get("HAMI_WALK_STEPS", "1500"))
NAMES = ("n1", "n2", "n3")


def wanted(draw: random.Random) -> dict[str, object]:
    short = {"gpu": draw.randint(1, 2), "mem": draw.choice([None, 300, 600]), "pct": draw.choice([None, 30])}
    short["cores"] = draw.choice([None, 0, 40, 100])
    return {
        "short": {name: value for name, value in short.items() if value is not None},
        "labels": draw.choice([{}, {"app": "x"}]),
        "overhead": draw.choice([None, {"cpu": "1"}]),
        "selector": draw.choice([None, {"zone": "a"}]),
        "policy": draw.choice([None, "binpack", "spread"]),
    }


@pytest.mark.timeout(3600)
def test_a_thousand_steps_of_arrivals_ends_and_changes_give_identical_choices() -> None:
    draw = random.Random(20261124)
    twice = Twice(draw.randrange(2**16))
    for number in range(STEPS):
        step = draw.choices(("place", "end", "node", "busy", "fail", "away"), (50, 30, 8, 6, 4, 2))[0]
        if step == "place":
            twice.place(f"p{number}", wanted(draw))
        elif step == "end":
            twice.end(draw.randrange(1000))
        elif step == "node":
            twice.change(draw.choice(NAMES))
        elif step == "busy":
            name = draw.choice(NAMES)
            twice.kept.set_busy(name, locked=name not in twice.kept.busy)
        elif step == "fail":
            twice.fail(draw.choice(NAMES))
        else:
            twice.keep_away(f"p{number}", draw.choice(NAMES))
    assert twice.kept.ledger.audit() == []
