"""Scores are those of the worked examples, and the order of cards is the same for ever."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hami_operator.core.cluster import Policies
from hami_operator.core.model import DeviceRequest
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.score import card_order, card_score, node_score
from hami_operator.core.vendor import Amounts, CardPolicy, CardState, FitContext, Selection
from tests.builders import NOW, NVIDIA, asking, bound, cards, cluster, device, node, pod
from tests.golden import rows


def context(request: DeviceRequest, policy: CardPolicy | None = None, selection: Selection | None = None) -> FitContext:
    policy, selection = policy or CardPolicy(), selection or Selection()
    return FitContext(NVIDIA, request, selection, policy, pod(), node(), frozenset())


@pytest.mark.parametrize("row", rows("scores.yaml", "cards"))
def test_a_card_has_the_score_of_the_example(row: dict[str, Any]) -> None:
    count, memory, cores = row["asked"]
    state = CardState(device(**row["card"]), *row["used"])
    assert card_score(DeviceRequest(count, memory, None, cores), state) == pytest.approx(row["score"])


@pytest.mark.parametrize("row", rows("scores.yaml", "percents"))
def test_a_percentage_is_divided_exactly(row: dict[str, Any]) -> None:
    request = DeviceRequest(1, None, row["percent"], 0)
    assert card_score(request, CardState(device())) == pytest.approx(row["score"])


@pytest.mark.parametrize("row", rows("scores.yaml", "nodes"))
def test_a_node_has_the_score_of_the_example(row: dict[str, Any]) -> None:
    devices = [device(f"GPU-{index}", **fields) for index, fields in enumerate(row["cards"])]
    assert node_score([(devices, {"GPU-0": Amounts(*row["used"])})]) == pytest.approx(row["score"])


@pytest.mark.parametrize("row", rows("scores.yaml", "policies"))
def test_node_and_card_follow_the_two_policies(row: dict[str, Any]) -> None:
    world = cluster(
        [
            node("node1", [device("device1", memory_mib=8000), device("device2", memory_mib=8000, index=1)]),
            node("node2", [device("device3", memory_mib=8000), device("device4", memory_mib=8000, index=1)]),
        ],
        [bound("a", "node1", "device1,NVIDIA,2000,25:;"), bound("b", "node2", "device4,NVIDIA,6000,75:;")],
        policies=Policies(row["node"], row["card"]),
    )
    decision = schedule(asking(gpu=1, mem=1000, cores=20), world, NOW)
    assert isinstance(decision, Placement)
    assert [decision.node, *cards(decision.allocation)] == row["placed"]
    assert {name: verdict.score for name, verdict in decision.kept.verdicts.items()} == pytest.approx(
        {"node1": 3.0, "node2": 8.0}
    )


def test_the_sentence_of_a_placement_is_that_of_the_reference() -> None:
    world = cluster(
        [node("node1", [device("device1", memory_mib=8000), device("device2", memory_mib=8000)]), node("node3")],
        [bound("a", "node1", "device1,NVIDIA,2000,25:;")],
    )
    decision = schedule(asking(gpu=1, mem=1000, cores=20), world, NOW)
    assert isinstance(decision, Placement)
    assert decision.message == "find fit node(node1), 1 nodes not fit, 1 nodes fit(node1:3.00)"


@pytest.mark.parametrize(
    ("policy", "selection", "wanted"),
    [
        (CardPolicy(), Selection(), ["idle-1", "idle-0", "used-1", "used-0"]),
        (CardPolicy(pack=True), Selection(), ["used-1", "used-0", "idle-1", "idle-0"]),
        (CardPolicy(topology_aware=True), Selection(), ["idle-1", "idle-0", "used-1", "used-0"]),
        (CardPolicy(), Selection(numa_bind=True), ["idle-1", "used-1", "idle-0", "used-0"]),
        (CardPolicy(pack=True), Selection(numa_bind=True), ["used-0", "idle-0", "used-1", "idle-1"]),
    ],
)
def test_cards_are_tried_in_the_order_of_the_policy(
    policy: CardPolicy, selection: Selection, wanted: list[str]
) -> None:
    states = [
        CardState(device(f"{kind}-{numa}", numa=numa), *((1, 5000, 10) if kind == "used" else ()))
        for kind in ("idle", "used")
        for numa in (0, 1)
    ]
    asked = context(DeviceRequest(1, 1000, None, 10), policy, selection)
    for shuffled in itertools.permutations(states):
        assert [state.device.uuid for state in card_order(asked, shuffled)] == wanted


def test_among_equals_the_highest_numa_index_and_uuid_comes_first() -> None:
    states = [
        CardState(device("GPU-b", index=1)),
        CardState(device("GPU-a", index=1)),
        CardState(device("GPU-z", index=0)),
        CardState(device("GPU-y", index=0, numa=1)),
    ]
    asked = context(DeviceRequest(1, 1000, None, 10))
    for shuffled in itertools.permutations(states):
        assert [state.device.uuid for state in card_order(asked, shuffled)] == ["GPU-y", "GPU-b", "GPU-a", "GPU-z"]


def test_cards_that_the_pods_own_init_containers_had_come_first() -> None:
    own = CardState(device("GPU-a"), own_peak=Amounts(1, 8000, 0))
    other = CardState(device("GPU-b", index=1))
    for policy in (CardPolicy(), CardPolicy(pack=True)):
        assert card_order(context(DeviceRequest(1, 1000, None, 0), policy), [other, own])[0] is own
