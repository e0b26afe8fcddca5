"""Decisions in the log: how many lines at which level, how long, and with what in them."""

from __future__ import annotations

import logging

import pytest

from hami_operator import decisionlog
from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Pod
from hami_operator.core.quota import OWN_KIND, read_quota
from hami_operator.core.schedule import schedule
from tests.builders import NOW, asking, cluster, device, node

QUOTA = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"limits.nvidia.com/gpumem": 1000}}}


def crowd(count: int) -> Cluster:
    return cluster([node(f"node-with-a-long-name-{i:04}.cluster.example", [device(f"GPU-{i}")]) for i in range(count)])


def lines(caplog: pytest.LogCaptureFixture, pod: Pod, world: Cluster, level: int) -> list[str]:
    caplog.set_level(level, logger="hami_operator.decisionlog")
    decision = schedule(pod, world, NOW)
    decisionlog.tell(pod, decision, decision.message, world, NOW)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("memory", [1000, 99999])
def test_a_decision_is_one_line_of_at_most_a_kilobyte_whatever_the_number_of_nodes(
    caplog: pytest.LogCaptureFixture, memory: int
) -> None:
    name = "a" * 253
    (line,) = lines(caplog, asking(name, gpu=1, mem=memory), crowd(1000), logging.INFO)
    assert len(line.encode()) < 1024 - 60  # time, level and logger stand before it
    assert line.startswith(f"default/{name}: ")


@pytest.mark.parametrize("memory", [1000, 99999])
def test_the_default_line_does_not_grow_with_the_cluster(caplog: pytest.LogCaptureFixture, memory: int) -> None:
    (small,) = lines(caplog, asking(gpu=1, mem=memory), crowd(10), logging.INFO)
    caplog.clear()
    (big,) = lines(caplog, asking(gpu=1, mem=memory), crowd(1000), logging.INFO)
    assert big == small


@pytest.mark.parametrize(
    ("memory", "line"),
    [
        (2000, "find fit node(n1:0.00), 66% of nodes fit"),
        (9000, "find fit node(n1:0.00), 33% of nodes fit"),
        (99999, "no available node: 100% CardInsufficientMemory"),
    ],
)
def test_the_default_line_tells_the_node_or_the_reasons(
    caplog: pytest.LogCaptureFixture, memory: int, line: str
) -> None:
    sizes = {"n1": 10000, "n2": 5000, "n3": 1000}
    world = cluster([node(name, [device(f"GPU-{name}", memory_mib=size)]) for name, size in sizes.items()])
    assert lines(caplog, asking(gpu=1, mem=memory), world, logging.INFO) == [f"default/p: {line}"]


def test_a_reason_of_one_node_in_many_is_not_nothing(caplog: pytest.LogCaptureFixture) -> None:
    nodes = [node(f"n{i}", [device(f"GPU-{i}", memory_mib=1000)]) for i in range(199)]
    (line,) = lines(caplog, asking(gpu=1, mem=2000), cluster([*nodes, node("bare")]), logging.INFO)
    assert line == "default/p: no available node: 99% CardInsufficientMemory, <1% NodeUnregistered"


def test_a_refusal_before_any_node_is_asked_is_told_in_its_own_words(caplog: pytest.LogCaptureFixture) -> None:
    world = crowd(3)
    world.quotas.put(read_quota(QUOTA, OWN_KIND, world.quotas.keys))
    (line,) = lines(caplog, asking(gpu=1, mem=2000), world, logging.INFO)
    assert line.startswith("default/p: ResourceQuotaNotFit")
    caplog.clear()
    (line,) = lines(caplog, asking(gpu=1), cluster([]), logging.INFO)
    assert line == "default/p: no available node: the cluster has no nodes"


def test_with_v_each_node_says_why(caplog: pytest.LogCaptureFixture) -> None:
    world = cluster([node("n1", [device("GPU-a")]), node("n2", [device("GPU-b", memory_mib=1000)])])
    found = lines(caplog, asking(gpu=1, mem=2000), world, logging.DEBUG)
    assert found[1:] == [
        "default/p: node n1: fits, score 0.00",
        "default/p: node n2: 1/1 CardInsufficientMemory",
    ]


def test_with_vv_each_card_says_what_it_has_and_what_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    world = cluster([node("n1", [device("GPU-a", memory_mib=1000)])])
    found = lines(caplog, asking(gpu=1, mem=2000), world, decisionlog.CARDS)
    assert found[-1] == (
        "default/p: node n1: card GPU-a: CardInsufficientMemory; "
        "free 1000 MiB, 100 cores, 10 slots; asked 2000 MiB, 0 cores"
    )
