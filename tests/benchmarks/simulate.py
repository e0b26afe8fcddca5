"""What a scenario costs in a batch, beside one that has a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.builders import bound, container, device, node_object, pod_object

from .harness import Bench, Row, alternate

SCENARIOS, ROUNDS = 1000, 3


def scenario(number: int) -> str:
    """One node of eight cards, five pods that run, two that want in."""
    devices = [device(f"GPU-{i}", index=i, numa=i // 4) for i in range(8)]
    running = [
        pod_object(
            item.key.name, container(gpu=1), metadata={"annotations": dict(item.annotations)}, nodeName=item.node_name
        )
        for item in (bound(f"r{i}", "n1", f"GPU-{(number + i) % 8},NVIDIA,3000,10:;") for i in range(5))
    ]
    wanting = [pod_object(f"p{i}", container(gpu=2, mem=3000 + number)) for i in range(2)]
    return json.dumps({"kind": "List", "items": [node_object("n1", devices), *running, *wanting]})


def seconds(lines: list[str], *arguments: str) -> float:
    """Seconds of one process that is given these lines."""
    command = [sys.executable, "-m", "hami_operator", "simulate", "--output", "json", *arguments]
    begin = time.perf_counter()
    done = subprocess.run(command, input="\n".join(lines).encode(), capture_output=True, check=True)
    assert done.stdout
    return time.perf_counter() - begin


def run() -> Iterator[Row]:
    """One row: seconds per scenario of a batch over seconds of a process for one."""
    lines = [scenario(number) for number in range(SCENARIOS)]
    arms = alternate(
        {
            "batch": lambda: seconds(lines, "--batch") / SCENARIOS,
            "alone": lambda: seconds(lines[:1]),
        },
        ROUNDS,
    )
    what = f"simulate: a scenario in a batch of {SCENARIOS} / one in a process of its own"
    yield Row("simulate-batch", what, arms["batch"] / arms["alone"], arms, ROUNDS, must=0.02, strive=0.005)


BENCH = Bench("simulate", run)
