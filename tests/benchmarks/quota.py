"""What quotas cost: a decision under one, a refusal by a full one, and the decisions it takes to start who waits."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hami_operator.config import Settings
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.quota import OWN_KIND, read_quota
from hami_operator.core.schedule import Placement, Unschedulable, schedule
from hami_operator.queue import Queue

from .harness import Bench, Row, alternate, seconds_per_call
from .worlds import CARDS, node_object, pod, running_object

NODES, PODS, NAMESPACES = 1000, 20_000, 1000
CALLS, ROUNDS = 300, 15
#: Rounds over all candidates in one round of the comparison with and without quotas.
TURNS = 10
MEMORY, COUNT = "limits.nvidia.com/gpumem", "limits.nvidia.com/gpu"


def world(nodes: int = NODES, pods: int = PODS) -> Cluster:
    """Nodes of eight cards with running pods of a thousand namespaces spread evenly over them."""
    settings = Settings()
    profiles = settings.devices.profiles()
    result = Cluster(profiles, settings.policies.values(), Inventory(profiles), Ledger(profiles))
    for index in range(nodes):
        result.inventory.update(read_node(node_object(index)))
    for index in range(pods):
        running = running_object(index, index % (nodes * CARDS))
        running["metadata"]["namespace"] = f"ns-{index % NAMESPACES}"
        result.ledger.observe(read_pod(running), 0.0)
    return result


def limit(cluster: Cluster, namespace: str, hard: Mapping[str, Any]) -> None:
    """Put a quota object in force."""
    obj = {"metadata": {"name": "quota", "namespace": namespace}, "spec": {"hard": dict(hard)}}
    cluster.quotas.put(read_quota(obj, OWN_KIND, cluster.quotas.keys))


def candidates(count: int) -> list[Pod]:
    """Pods of eight shapes, each of another namespace."""
    pods = [pod(index, gpumem=3000 + index % 8 * 500) for index in range(count)]
    return [replace(one, key=replace(one.key, namespace=f"ns-{i % NAMESPACES}")) for i, one in enumerate(pods)]


def placing(cluster: Cluster, pods: list[Pod]) -> Callable[[], float]:
    """Seconds of a decision; each is reserved and undone afterwards, so every next one has sums to make anew."""
    order = itertools.cycle(pods)
    decided: list[tuple[Pod, Placement]] = []

    def decide() -> None:
        one = next(order)
        decision = schedule(one, cluster, 0.0)
        assert isinstance(decision, Placement)
        decided.append((one, decision))

    def undo() -> None:
        one, decision = decided.pop()
        cluster.ledger.assume(one, decision.node, decision.allocation)
        cluster.ledger.forget(one.key.uid)

    def measure() -> float:
        for _ in range(len(pods)):
            decide()
            undo()
        return seconds_per_call(decide, CALLS, undo)

    return measure


def cost(cluster: Cluster, pods: Mapping[str, list[Pod]]) -> dict[str, float]:
    """Median seconds of a decision by arm.

    The arms take turns with every decision, on one world, so that whatever else the machine does meets them alike. Each
    decision is reserved and undone afterwards, so every next one has sums to make anew; and one more that is not timed
    stands before each, so that none finds the caches as the other arm left them.
    """
    spent: dict[str, list[float]] = {name: [] for name in pods}
    between = pod(10_000)
    gc.collect()
    gc.disable()
    for turn in range(TURNS):
        names = list(pods) if turn % 2 else list(reversed(pods))
        for row in zip(*(pods[name] for name in names), strict=True):
            for name, one in zip(names, row, strict=True):
                _decide(cluster, between)
                spent[name].append(_decide(cluster, one))
    gc.enable()
    return {name: statistics.median(values) for name, values in spent.items()}


def _decide(cluster: Cluster, one: Pod) -> float:
    """Seconds of a decision, which is reserved and undone then."""
    begin = time.perf_counter()
    decision = schedule(one, cluster, 0.0)
    spent = time.perf_counter() - begin
    assert isinstance(decision, Placement)
    cluster.ledger.assume(one, decision.node, decision.allocation)
    cluster.ledger.forget(one.key.uid)
    return spent


def quota_cost(cluster: Cluster) -> Row:
    """The same pods once in namespaces under quota and once in namespaces without."""
    under = candidates(64)
    free = [replace(one, key=replace(one.key, namespace=f"free-{one.key.namespace}")) for one in under]
    arms = {"quota": under, "none": free}
    cost(cluster, arms)
    rounds = [cost(cluster, arms) for _ in range(ROUNDS)]
    ratio = statistics.median(found["quota"] / found["none"] for found in rounds)
    medians = {name: statistics.median(found[name] for found in rounds) for name in arms}
    what = "decision with 1 000 namespaces under quota (3 keys, 20 pods each) over the same without (median of ratios)"
    return Row("quota-cost", what, ratio, medians, ROUNDS, 1.10, 1.02)


def refusing(cluster: Cluster, pods: list[Pod]) -> Callable[[], float]:
    """Seconds of a refusal, over many pods."""

    def refuse() -> None:
        for one in pods:
            assert isinstance(schedule(one, cluster, 0.0), Unschedulable)

    def measure() -> float:
        refuse()
        return seconds_per_call(refuse, 1) / len(pods)

    return measure


def decisions_per_start(waiting: int, room: int) -> float:
    """Decisions until nobody is ready any more, over pods started, after room for some of them appears."""
    cluster, queue = world(50, 0), Queue()
    limit(cluster, "ns-0", {COUNT: 0})
    for index in range(waiting):
        one = pod(index)
        queue.put(replace(one, key=replace(one.key, namespace="ns-0")))
    _drain(cluster, queue)
    limit(cluster, "ns-0", {COUNT: room})
    queue.wake_namespace("ns-0")
    decisions, started = _drain(cluster, queue)
    assert started == room
    return decisions / started


def _drain(cluster: Cluster, queue: Queue) -> tuple[int, int]:
    """Decide as the loop does until nobody is ready: (decisions, pods started)."""
    decisions = started = 0
    while (pending := queue.take(0.0)) is not None:
        one, uid = pending.pod, pending.pod.key.uid
        decision = schedule(one, cluster, 0.0)
        decisions += 1
        if isinstance(decision, Placement):
            cluster.ledger.assume(one, decision.node, decision.allocation)
            queue.placed(uid)
            queue.remove(uid)
            started += 1
        else:
            queue.wait(uid, decision.waits)
    return decisions, started


def run() -> Iterator[Row]:
    bounded = world()
    for index in range(NAMESPACES):
        limit(bounded, f"ns-{index}", {COUNT: 1000, MEMORY: 10_000_000, "limits.nvidia.com/gpucores": 10_000})
    yield quota_cost(bounded)

    for index in range(200):
        limit(bounded, f"ns-{index}", {MEMORY: 1000})
    refused = [one for one in candidates(10_000) if int(one.key.namespace[3:]) < 200]
    place = placing(bounded, [one for one in candidates(264) if int(one.key.namespace[3:]) >= 200])
    medians = alternate({"refusal": refusing(bounded, refused), "placement": place})
    what = "time per refusal of 2 000 pods against 200 full quotas over time per placement"
    yield Row("quota-refuse", what, medians["refusal"] / medians["placement"], medians, 7, 1.0, 0.2)

    count = decisions_per_start(300, 50)
    what = "decisions per pod started after room for 50 of 300 appears (a count)"
    yield Row("quota-wake", what, count, {"decisions": count}, 1, 2, 1)


BENCH = Bench("quota", run)
