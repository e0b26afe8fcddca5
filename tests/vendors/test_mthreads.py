"""Moore Threads: totals of a container, whole cards, and one card for all containers of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.model import Device, Node
from tests.golden import rows
from tests.vendors.binding import NANOSECONDS, bind, capacity_node, pod_of, refusal, world
from tests.vendors.replay import admit, check_fit, check_request, family

MTT = family("Mthreads")

COUNT, MEMORY, CORES = "mthreads.com/vgpu", "mthreads.com/sgpu-memory", "mthreads.com/sgpu-core"
PART = {COUNT: 1, MEMORY: 32, CORES: 8}
CARD = {COUNT: 1, MEMORY: 96, CORES: 16}


def node() -> Node:
    return capacity_node("mt1", **{CORES: 32, MEMORY: 192})


@pytest.mark.parametrize("row", rows("mthreads.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(MTT, row)


@pytest.mark.parametrize("row", rows("mthreads.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(MTT, Device("", 0, 100, 49152, 16, "Mthreads"), row)


def test_cards_are_counted_by_the_cores_of_the_node() -> None:
    assert [(card.uuid, card.memory_mib, card.cores) for card in MTT.inventory(node())] == [
        ("mt1-mthreads-0", 49152, 16),
        ("mt1-mthreads-1", 49152, 16),
    ]


def test_m2_containers_of_a_pod_share_one_card() -> None:
    assert bind(world(MTT, node()), MTT, pod_of("p", PART, PART)) == {
        "hami.io/mthreads-vgpu-devices-allocated": "mt1-mthreads-1,Mthreads,16384,8:;mt1-mthreads-1,Mthreads,16384,8:;",
        "mthreads.com/gpu-index": "1",
        "mthreads.com/predicate-node": "mt1",
        "mthreads.com/predicate-time": NANOSECONDS,
    }


def test_a_pod_goes_where_all_its_containers_fit_together() -> None:
    """The emptier card would do for the first container, and the second would not find room beside it."""
    there = world(MTT, node())
    only = {"mthreads.com/use-gpuuuid": "mt1-mthreads-1"}
    bind(there, MTT, pod_of("guest", {COUNT: 1, MEMORY: 16, CORES: 9}, annotations=only))
    wide = {COUNT: 1, MEMORY: 32, CORES: 1}
    bind(there, MTT, pod_of("other", wide, wide, annotations={"mthreads.com/use-gpuuuid": "mt1-mthreads-0"}))
    written = bind(there, MTT, pod_of("p", {COUNT: 1, MEMORY: 8, CORES: 4}, {COUNT: 1, MEMORY: 8, CORES: 4}))
    assert written["mthreads.com/gpu-index"] == "0"


def test_m3_containers_that_fit_on_no_card_together_are_refused() -> None:
    assert refusal(world(MTT, node()), pod_of("p", PART, CARD)) == "2/2 CardNotFoundCustomFilterRule"


def test_m4_several_cards_are_told_in_the_order_of_the_list() -> None:
    written = bind(world(MTT, node()), MTT, pod_of("p", {}, {COUNT: 2, MEMORY: 192, CORES: 32}, {}))
    assert written["mthreads.com/gpu-index"] == "1,0"
    assert written[MTT.allocated_key] == ";mt1-mthreads-1,Mthreads,49152,16:mt1-mthreads-0,Mthreads,49152,16:;;"


def test_m8_the_count_is_annotated_on_pods_without_annotations_too() -> None:
    assert admit(MTT, {COUNT: 2}, {}).annotations == {"mthreads.com/request-gpu-num": "2"}
    assert admit(MTT, {COUNT: 2}, {"mthreads.com/request-gpu-num": "2"}).claimed


def test_a_user_whose_amounts_are_overruled_is_told() -> None:
    assert admit(MTT, {COUNT: 2, MEMORY: 32, CORES: 32}, {}).warnings == (
        "container 'main': mthreads.com/sgpu-memory is 32 and becomes 192: several cards are taken whole",
    )
