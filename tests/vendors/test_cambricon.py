"""Cambricon: cards counted from the node, one slice per container, what the vendor's plugin waits for."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Device, Node
from tests.golden import rows
from tests.vendors.binding import bind, capacity_node, pod_of, refusal, world
from tests.vendors.replay import admit, check_fit, check_request, family

MLU = family("MLU")

COUNT, MEMORY, CORES = "cambricon.com/vmlu", "cambricon.com/mlu.smlu.vmemory", "cambricon.com/mlu.smlu.vcore"
PART = {COUNT: 1, MEMORY: 20, CORES: 10}


def node(cores: int = 200, memory: int = 182) -> Node:
    return capacity_node("mlu1", **{CORES: cores, MEMORY: memory})


@pytest.mark.parametrize("row", rows("cambricon.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(MLU, row)


@pytest.mark.parametrize("row", rows("cambricon.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(MLU, Device("", 0, 100, 23296, 100, "MLU"), row)


def test_cards_are_counted_by_the_cores_of_the_node() -> None:
    assert MLU.inventory(node()) == tuple(
        Device(f"mlu1-cambricon-mlu-{index}", index, 100, 23296, 100, "MLU") for index in (0, 1)
    )
    assert [card.memory_mib for card in MLU.inventory(node(cores=150))] == [31061, 31061]
    assert MLU.inventory(node(cores=0)) == ()
    assert MLU.inventory(Node("mlu1")) == ()


def test_a_node_cannot_have_cards_without_end() -> None:
    assert len(MLU.inventory(node(cores=102_400))) == 1024
    with pytest.raises(ProtocolError, match="102401 are 1025 cards, allowed are 1024"):
        MLU.inventory(node(cores=102_401))


def test_a_card_that_is_broken_keeps_its_position_and_its_amounts_are_not_given() -> None:
    """Capacity tells the positions; nobody gets what the kubelet does not allocate any more."""
    there = world(MLU, node())
    broken = capacity_node("mlu1", **{CORES: 100, MEMORY: 91})
    there.inventory.update(Node("mlu1", capacity=node().capacity, allocatable=broken.allocatable))
    assert len(MLU.inventory(Node("mlu1", capacity=node().capacity, allocatable=broken.allocatable))) == 2
    for number in range(4):
        assert bind(there, MLU, pod_of(f"p{number}", {COUNT: 1, MEMORY: 20, CORES: 25}))
    assert refusal(there, pod_of("p", PART)).startswith(f"InsufficientExtendedResource ({CORES}: asked 10, free 0")


def test_c1_the_profile_names_position_cores_and_memory() -> None:
    text = "mlu1-cambricon-mlu-1,MLU,5120,10:;"
    assert bind(world(MLU, node()), MLU, pod_of("p", PART)) == {
        "hami.io/cambricon-mlu-devices-to-allocate": text,
        "hami.io/cambricon-mlu-devices-allocated": text,
        "CAMBRICON_DSMLU_PROFILE": "1_10_20",
        "CAMBRICON_DSMLU_ASSIGHED": "false",
    }


def test_c9_a_first_container_without_a_card_crashes_nothing() -> None:
    written = bind(world(MLU, node()), MLU, pod_of("p", {}, PART))
    assert written["hami.io/cambricon-mlu-devices-allocated"] == ";mlu1-cambricon-mlu-1,MLU,5120,10:;"
    assert written["CAMBRICON_DSMLU_PROFILE"] == "1_10_20"


def test_the_profile_of_a_big_card() -> None:
    big = capacity_node("mlu1", **{CORES: 100, MEMORY: 1000})
    written = bind(world(MLU, big), MLU, pod_of("p", {COUNT: 1, MEMORY: 1000, CORES: 1}))
    assert written["CAMBRICON_DSMLU_PROFILE"] == "0_1_1000"


@pytest.mark.parametrize(
    ("dialect", "flags"),
    [
        ("2.7", {"CAMBRICON_DSMLU_ASSIGHED"}),
        ("2.10", {"CAMBRICON_DSMLU_ASSIGNED"}),
        ("both", {"CAMBRICON_DSMLU_ASSIGHED", "CAMBRICON_DSMLU_ASSIGNED"}),
    ],
)
def test_the_flag_is_spelled_as_the_plugin_in_use_reads_it(dialect: str, flags: set[str]) -> None:
    profile = family("MLU", cambricon={"dialect": dialect})
    written = bind(world(profile, node()), profile, pod_of("p", PART))
    assert {key for key, value in written.items() if value == "false"} == flags


def test_a_user_who_selects_by_model_is_told_that_it_has_no_effect() -> None:
    assert admit(MLU, PART, {"cambricon.com/use-mlutype": "MLU590"}).warnings == (
        "annotation cambricon.com/use-mlutype has no effect: nodes don't tell the model of their cards",
    )
    assert admit(MLU, PART, {}).warnings == ()


def test_the_plugins_own_key_is_nobody_elses() -> None:
    assert MLU.writes("CAMBRICON_DSMLU_PROFILE_INSTANCE")
    assert MLU.writes("CAMBRICON_DSMLU_ASSIGNED")
