"""The cost of one decision: against reading the pod, against a rebuild from nothing, and as the cluster grows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence

from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Pod
from hami_operator.core.schedule import Placement, schedule

from .harness import Bench, Row, alternate, seconds_per_call
from .worlds import cluster, pod, pod_text

CALLS = 300


def eight_shapes() -> list[Pod]:
    """Pods that ask for one card each, in eight sizes."""
    return [pod(index, gpumem=3000 + index % 8 * 500) for index in range(64)]


def warm(world: Cluster, pods: Sequence[Pod]) -> Callable[[], float]:
    """Seconds of a decision over pods whose shapes are all known.

    Each is reserved and undone again afterwards, untimed, so every decision finds nodes that have changed.
    """
    order = itertools.cycle(pods)
    decided: list[tuple[Pod, Placement]] = []

    def decide() -> None:
        one = next(order)
        decision = schedule(one, world, 0.0)
        assert isinstance(decision, Placement)
        decided.append((one, decision))

    def undo() -> None:
        one, decision = decided.pop()
        world.ledger.assume(one, decision.node, decision.allocation)
        world.ledger.forget(one.key.uid)

    def measure() -> float:
        for _ in pods:
            decide()
            undo()
        return seconds_per_call(decide, CALLS, undo)

    return measure


def from_nothing(world: Cluster, pods: Sequence[Pod]) -> Callable[[], float]:
    """Seconds of a decision that recounts the ledger and asks every node."""

    def decide() -> None:
        for one in pods:
            world.forget_answers()
            assert not world.ledger.audit()
            schedule(one, world, 0.0)

    return lambda: seconds_per_call(decide, 1) / len(pods)


def run() -> Iterator[Row]:
    thousand = cluster(1000, 20_000)
    text = pod_text(1)
    arms = {
        "decide": warm(thousand, eight_shapes()),
        "json.loads": lambda: seconds_per_call(lambda: json.loads(text), CALLS),
    }
    medians = alternate(arms, 15)
    what = "warm decision, 1 000 nodes x 8 cards, 20 000 pods, over json.loads of the pod"
    yield Row("decide-1k", what, medians["decide"] / medians["json.loads"], medians, 15, 5, 0.5)

    medians = alternate({"decide": arms["decide"], "rebuild": from_nothing(thousand, [pod(1)])}, 5)
    what = "full-rebuild reference over warm decision, same world"
    ratio = medians["rebuild"] / medians["decide"]
    yield Row("decide-oracle", what, ratio, medians, 5, 500, 2000, more_is_better=True)

    sizes = {"5000": warm(cluster(5000, 20_000), eight_shapes()), "500": warm(cluster(500, 2_000), eight_shapes())}
    medians = alternate(sizes)
    what = "warm decision at 5 000 nodes over 500 nodes"
    yield Row("decide-growth", what, medians["5000"] / medians["500"], medians, 7, 12, 1.6)

    crowds = {"many": warm(cluster(500, 20_000), eight_shapes()), "few": warm(cluster(500, 2_000), eight_shapes())}
    medians = alternate(crowds)
    what = "warm decision with ten times the pods, same nodes"
    yield Row("decide-pods", what, medians["many"] / medians["few"], medians, 7, 1.2, 1.05)


BENCH = Bench("decide", run)
