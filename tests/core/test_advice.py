"""Advice is true: what it says, done, lets the pod start; and what is less would not."""

from __future__ import annotations

import pytest

from hami_operator.core.advice import advise
from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW, asking, bound, cluster, container, device, node, pod_object


def busy() -> Cluster:
    """Two nodes of one card: 7 000 MiB of 10 000 taken by two pods on n1, 9 000 of 10 000 by one on n2."""
    nodes = [node("n1", [device("GPU-1", memory_mib=10000)]), node("n2", [device("GPU-2", memory_mib=10000)])]
    running = [
        bound("small", "n1", "GPU-1,NVIDIA,2000,0:;", gpu=1, mem=2000),
        bound("large", "n1", "GPU-1,NVIDIA,5000,0:;", gpu=1, mem=5000),
        bound("other", "n2", "GPU-2,NVIDIA,9000,0:;", gpu=1, mem=9000),
    ]
    return cluster(nodes, running)


def starts(pod: Pod, world: Cluster) -> bool:
    return isinstance(schedule(pod, world, NOW), Placement)


def test_the_largest_memory_that_fits_is_named_and_one_more_would_not_do() -> None:
    world = busy()
    (sentence, *_) = advise(asking(gpu=1, mem=6000), world, NOW)
    assert sentence == "fits on n1 with nvidia.com/gpumem 3000 or less"
    assert starts(asking(gpu=1, mem=3000), world)
    assert not starts(asking(gpu=1, mem=3001), world)


def test_the_smallest_pod_whose_end_would_do_is_named() -> None:
    world = busy()
    assert "fits when default/small ends (on n1)" in advise(asking(gpu=1, mem=5000), world, NOW)
    assert "fits when default/large ends (on n1)" in advise(asking(gpu=1, mem=6000), world, NOW)


def test_asking_changes_nothing() -> None:
    world = busy()
    before = {name: dict(world.ledger.usage(name).cards) for name in ("n1", "n2")}
    advise(asking(gpu=1, mem=6000), world, NOW)
    assert {name: dict(world.ledger.usage(name).cards) for name in ("n1", "n2")} == before
    assert world.ledger.audit() == []


def test_a_toleration_or_a_selector_in_the_way_is_named() -> None:
    taints = [{"key": "gpu", "value": "only", "effect": "NoSchedule"}]
    tainted = cluster([node("n1", [device("GPU-1")], spec={"taints": taints})])
    assert advise(asking(gpu=1, mem=100), tainted, NOW) == ["fits on n1 with a toleration for gpu=only:NoSchedule"]
    picky = read_pod(pod_object("p", container(gpu=1, mem=100), nodeSelector={"zone": "moon"}))
    assert advise(picky, cluster([node("n1", [device("GPU-1")])]), NOW) == ["fits on n1 without spec.nodeSelector"]


def test_what_fits_needs_no_advice_and_what_nothing_simple_would_help_gets_none() -> None:
    world = busy()
    assert advise(asking(gpu=1, mem=100), world, NOW) == []
    assert advise(asking(gpu=16, mem=100), world, NOW) == []


@pytest.mark.parametrize("asked", [3500, 5000, 6500, 9999])
def test_each_advice_to_take_less_is_followed_to_a_start(asked: int) -> None:
    world = busy()
    for sentence in advise(asking(gpu=1, mem=asked), world, NOW):
        if " with nvidia.com/gpumem " in sentence:
            amount = int(sentence.split("gpumem ")[1].split()[0])
            assert starts(asking(gpu=1, mem=amount), world)
