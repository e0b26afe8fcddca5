"""Pods that wait: asked again and again what can't be had, explained, and logged."""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Callable, Iterator

from hami_operator import decisionlog
from hami_operator.cli.logs import FORMATTERS
from hami_operator.core.advice import advise
from hami_operator.core.cluster import Cluster
from hami_operator.core.explain import explain
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, Unschedulable, schedule

from .decide import from_nothing
from .harness import Bench, Row, alternate, seconds_per_call
from .worlds import CARDS, cluster, pod, running_object

ROUNDS, CALLS = 9, 300

#: More MiB than any card has; and what a card has that nobody else is on, which is none in these worlds.
TOO_MUCH, WHOLE_CARD = 90_000, 81_500


def impossible() -> Iterator[Row]:
    """The same request each time; before every decision a pod has come to another node or gone from it."""
    world = cluster(1000, 20_000)
    refused, placed = pod(1, gpumem=TOO_MUCH), pod(2, gpumem=3000)
    arms = {"refusal": _asked(world, refused, Unschedulable), "placement": _asked(world, placed, Placement)}
    medians = alternate(arms, ROUNDS)
    what = "a request that nothing can hold, asked again and again, over a placement, 1 000 nodes"
    yield Row("impossible", what, medians["refusal"] / medians["placement"], medians, ROUNDS, 1.0, 0.2)


def _asked(world: Cluster, one: Pod, outcome: type[Placement | Unschedulable]) -> Callable[[], float]:
    """Seconds of a decision that ends so."""
    places = itertools.cycle(range(0, len(world.inventory) * CARDS, CARDS))

    def decide() -> None:
        assert isinstance(schedule(one, world, 0.0), outcome)

    def change() -> None:
        number = next(places)
        guest = read_pod(running_object(1_000_000 + number, number))
        if world.ledger.record(guest.key.uid) is None:
            world.ledger.observe(guest, 0.0)
        else:
            world.ledger.gone(guest.key.uid, 0.0)
            world.ledger.expire_tombstones(1e6)

    def measure() -> float:
        decide()
        return seconds_per_call(decide, CALLS, change)

    return measure


def explained() -> Iterator[Row]:
    """As the command does it, on a world that was just read: every node, then what would help."""
    world = cluster(1000, 20_000)
    one = pod(1, gpumem=WHOLE_CARD)

    def answer() -> None:
        world.forget_answers()
        assert len(explain(one, world, 0.0).nodes) == 1000
        assert advise(one, world, 0.0)

    arms = {"explain": lambda: seconds_per_call(answer, 1), "rebuild": from_nothing(world, [one])}
    medians = alternate(arms, ROUNDS)
    what = "explain of a waiting pod at 1 000 nodes, advice included, over one full-rebuild decision"
    yield Row("explain", what, medians["explain"] / medians["rebuild"], medians, ROUNDS, 3, 1)


def logged() -> Iterator[Row]:
    """The lines as they are written by default, of pods that are placed and of ones that wait."""
    medians = {f"{nodes} nodes": _bytes_per_decision(nodes) for nodes in (1000, 10)}
    what = "bytes logged a decision at 1 000 nodes over 10 nodes, default level (arms in bytes)"
    yield Row("log-bytes", what, medians["1000 nodes"] / medians["10 nodes"], medians, 1, 1.0, 1.0)


def _bytes_per_decision(nodes: int) -> float:
    world, stream = cluster(nodes, 20 * nodes), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS["text"]())
    logger, pods = logging.getLogger(decisionlog.__name__), [pod(i, gpumem=3000 + i % 8 * 12_000) for i in range(64)]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        for one in pods:
            decision = schedule(one, world, 0.0)
            decisionlog.tell(one, decision, decision.message, world, 0.0)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    return len(stream.getvalue().encode()) / len(pods)


BENCHES = (Bench("impossible", impossible), Bench("explain", explained), Bench("log-bytes", logged))
