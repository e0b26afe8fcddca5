"""KiB that the state of a cluster takes: per pod and per node of eight cards, beyond the empty process.

Each measurement is a fresh process, since memory that was freed tells nothing.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .harness import Bench, Row

NODES, PODS, ROUNDS = 1000, 20_000, 5


def resident_kib() -> int:
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS in /proc/self/status")


def measure() -> dict[str, float]:
    """What one process takes, through the same sensors that live events pass. Imports count to the empty process."""
    from hami_operator.config import Settings
    from hami_operator.handlers.nodes import on_node_event
    from hami_operator.handlers.pods import on_pod_event
    from hami_operator.live import empty_cluster
    from hami_operator.queue import Queue
    from hami_operator.world import World

    from .worlds import CARDS, node_object, running_object

    world = World("hami-scheduler", empty_cluster(Settings()), Queue(), lambda: 0.0)
    on_node_event(world, json.loads(json.dumps(node_object(0))), gone=False)
    empty = resident_kib()
    for index in range(1, NODES):
        on_node_event(world, json.loads(json.dumps(node_object(index))), gone=False)
    nodes = resident_kib()
    for index in range(PODS):
        on_pod_event(world, json.loads(json.dumps(running_object(index, index % (NODES * CARDS)))), gone=False)
    pods = resident_kib()
    return {"node": (nodes - empty) / NODES, "pod": (pods - nodes) / PODS}


def run() -> Iterator[Row]:
    command = [sys.executable, "-m", "tests.benchmarks.memory"]
    rounds = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(ROUNDS)]
    pod, node = (statistics.median(found[what] for found in rounds) for what in ("pod", "node"))
    yield Row("memory", "KiB per pod, 1 000 nodes x 8 cards and 20 000 pods", pod, {"KiB": pod}, ROUNDS, 8, 2)
    yield Row("memory-node", "KiB per node of 8 cards, same world", node, {"KiB": node}, ROUNDS, 32, 8)


BENCH = Bench("memory", run)

if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()))
