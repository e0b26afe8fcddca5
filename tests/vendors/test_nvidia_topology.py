"""NVIDIA cards by their links: the right set on a node, the right node, and waiting for what the cluster could give."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest

from hami_operator.core.cluster import Cluster
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Node, Pod
from hami_operator.core.quota import OWN_KIND, read_quota
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW, NVIDIA, asking, bound, cards, cluster, device, node

SCORES = "hami.io/node-nvidia-score"
TOPOLOGY_AWARE = {"hami.io/gpu-scheduler-policy": "topology-aware"}


def islands(a: int, b: int) -> int:
    return 420 if a // 4 == b // 4 else 10


def switch(a: int, b: int) -> int:
    return 1820 if a // 4 == b // 4 else 1810


def pcie(a: int, b: int) -> int:
    return 50 if a // 2 == b // 2 else 10


def linked(name: str, score: Callable[[int, int], int] | None, size: int = 8, text: str | None = None) -> Node:
    """A node of ``size`` cards; without ``score`` its plugin tells no scores."""
    devices = [device(f"{name}-{i}", index=i, numa=i * 2 // size) for i in range(size)]
    records = [
        {"uuid": f"{name}-{a}", "score": {f"{name}-{b}": score(min(a, b), max(a, b)) for b in range(size) if b != a}}
        for a in range(size)
        if score is not None
    ]
    annotations = {} if score is None and text is None else {SCORES: text if text is not None else json.dumps(records)}
    return node(name, devices, metadata={"annotations": annotations})


def full(name: str, *busy: int) -> Iterable[Pod]:
    """Pods that hold these cards of a node whole."""
    return [bound(f"{name}-busy-{i}", name, f"{name}-{i},NVIDIA,24576,100:;", gpu=1) for i in busy]


def ask(gpu: int, word: str | None = None, **more: str) -> Pod:
    return asking(
        gpu=gpu, mem=1000, annotations={**TOPOLOGY_AWARE, **({"hami.io/gpu-topology": word} if word else {}), **more}
    )


def chosen(pod: Pod, world: Cluster) -> set[str]:
    decision = schedule(pod, world, NOW)
    assert isinstance(decision, Placement), decision.message
    return set(cards(decision.allocation))


def test_a_group_of_four_comes_from_one_island() -> None:
    assert chosen(ask(4), cluster([linked("n", islands)])) == {"n-4", "n-5", "n-6", "n-7"}


def test_a_pair_is_taken_from_the_broken_island_and_leaves_the_whole_one() -> None:
    world = cluster([linked("n", islands)], full("n", 2, 3))
    assert chosen(ask(2), world) == {"n-0", "n-1"}


def test_a_single_card_is_the_one_that_is_linked_least() -> None:
    world = cluster([linked("n", islands)], full("n", 1, 2, 3))
    assert chosen(ask(1), world) == {"n-0"}


def test_a_node_with_exactly_four_beats_breaking_one_of_eight_whatever_the_node_policy() -> None:
    world = cluster([linked("p", islands), linked("q", islands)], full("p", 4, 5, 6, 7))
    for policy in ("binpack", "spread"):
        assert chosen(ask(4, **{"hami.io/node-scheduler-policy": policy}), world) == {f"p-{i}" for i in range(4)}


def test_nodes_without_links_are_refused_as_long_as_some_node_could_link_so_many() -> None:
    world = cluster([linked("a", pcie), linked("b", islands)], full("b", 0, 4))
    decision = schedule(ask(4), world, NOW)
    assert "TopologyNotFit(a,b): at most 3 linked cards are free" in decision.message
    assert not isinstance(decision, Placement)
    assert chosen(ask(3), world) <= {f"b-{i}" for i in range(8)}


def test_a_cluster_that_has_no_links_at_all_gives_the_nearest_cards() -> None:
    assert chosen(ask(2), cluster([linked("a", pcie)])) == {"a-6", "a-7"}


def test_prefer_never_waits_and_require_always_does() -> None:
    broken = cluster([linked("b", islands)], full("b", 0, 4))
    assert len(chosen(ask(4, "prefer"), broken)) == 4
    plain = cluster([linked("a", pcie)])
    assert "TopologyNotFit(a): no linked cards are free" in schedule(ask(2, "require"), plain, NOW).message
    unknown = cluster([linked("a", None)])
    assert "TopologyNotFit(a): its links are not known" in schedule(ask(2, "require"), unknown, NOW).message


def test_a_node_that_brings_links_changes_what_pods_wait_for() -> None:
    world = cluster([linked("a", pcie)])
    assert isinstance(schedule(ask(4), world, NOW), Placement)
    world.inventory.update(linked("b", islands))
    decision = schedule(ask(4), world, NOW)
    assert isinstance(decision, Placement)
    assert decision.node == "b"
    world.inventory.remove("b")
    assert isinstance(schedule(ask(4), world, NOW), Placement)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[{]", "[1]", '[{"uuid":"n-0"}]', '[{"uuid":"n-0","score":{"n-1":"x"}}]']
)
def test_scores_that_are_absent_or_bad_leave_the_cards_and_the_plain_order(text: str) -> None:
    world = cluster([linked("n", None, 4, text)])
    assert chosen(ask(2), world) == {"n-3", "n-2"}


def test_of_scores_that_differ_by_direction_the_smaller_counts() -> None:
    records = [
        {"uuid": "n-0", "score": {"n-1": 420}},
        {"uuid": "n-1", "score": {"n-0": 10}},
        {"uuid": "n-2", "score": {"n-3": 50}},
    ]
    records.append({"uuid": "n-3", "score": {"n-2": 50}})
    world = cluster([linked("n", None, 4, json.dumps(records))])
    assert chosen(ask(2, "prefer"), world) == {"n-2", "n-3"}


def test_numa_binding_looks_at_each_numa_node_by_itself() -> None:
    world = cluster([linked("n", switch)], full("n", 0, 1, 2))
    assert chosen(ask(2, **{"nvidia.com/numa-bind": "true"}), world) <= {"n-4", "n-5", "n-6", "n-7"}


def test_an_unknown_word_is_refused_at_admission_and_past_it_the_setting_counts() -> None:
    asked = ask(2, "maybe")
    with pytest.raises(InvalidRequest, match=r"gpu-topology is 'maybe', allowed are auto, require, prefer"):
        NVIDIA.hooks.admit(NVIDIA, asked.containers[0], asked.annotations)
    assert len(chosen(asked, cluster([linked("n", islands)]))) == 2


def test_a_pod_that_does_not_ask_for_it_gets_the_plain_order() -> None:
    world = cluster([linked("n", islands)], full("n", 2, 3))
    assert chosen(asking(gpu=2, mem=1000), world) == {"n-7", "n-6"}


def test_a_quota_for_exactly_two_cards_leaves_the_choice_by_links_as_it_is() -> None:
    """T19: HAMi adds up all candidates under a quota, so it stops at the first two that it meets, 1 and 5."""
    world = cluster([linked("n", islands)], full("n", 2, 3, 6, 7))
    obj = {
        "metadata": {"name": "team", "namespace": "default"},
        "spec": {"hard": {"limits.nvidia.com/gpumem": str(4 * 24576 + 4000)}},
    }
    world.quotas.put(read_quota(obj, OWN_KIND, world.quotas.keys))
    asked = asking(gpu=2, mem=2000, annotations=TOPOLOGY_AWARE)
    assert chosen(asked, world) in ({"n-0", "n-1"}, {"n-4", "n-5"})


@pytest.mark.parametrize(("taken", "pair"), [((0, 1), {"n-2", "n-3"}), ((4, 5), {"n-6", "n-7"})])
def test_with_numa_binding_the_group_whose_set_is_best_is_taken(taken: tuple[int, ...], pair: set[str]) -> None:
    world = cluster([linked("n", islands)], full("n", *taken))
    assert chosen(ask(2, **{"nvidia.com/numa-bind": "true"}), world) == pair


def test_with_numa_binding_a_group_that_suffices_is_found_wherever_it_is() -> None:
    """T20: NUMA 1 has four free cards, NUMA 0 one; HAMi forgets the first group when it meets the second."""
    world = cluster([linked("n", islands)], full("n", 1, 2, 3))
    assert chosen(ask(2, **{"nvidia.com/numa-bind": "true"}), world) <= {f"n-{i}" for i in range(4, 8)}
