"""Iluvatar: the counted family of v2.7 and the chips of v2.10, each with what its plugin reads."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.model import Device, Node
from tests.builders import node
from tests.golden import rows
from tests.vendors.binding import NANOSECONDS, bind, capacity_node, pod_of, world
from tests.vendors.replay import admit, check_fit, check_request, family

COUNTED = family("Iluvatar")
CHIP = family("MR-V100", iluvatars={})

COUNT, MEMORY, CORES = "iluvatar.ai/vgpu", "iluvatar.ai/vcuda-memory", "iluvatar.ai/vcuda-core"
HALF = {COUNT: 1, MEMORY: 64, CORES: 50}


def counted_node() -> Node:
    return capacity_node("ilu1", **{CORES: 200, MEMORY: 256})


@pytest.mark.parametrize("row", rows("iluvatar.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(COUNTED, row)


@pytest.mark.parametrize("row", rows("iluvatar.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(COUNTED, Device("", 0, 100, 32768, 100, "Iluvatar"), row)


@pytest.mark.parametrize("row", rows("iluvatar.yaml", "chips"))
def test_a_chip_is_given_as_the_example_says(row: dict[str, Any]) -> None:
    check_fit(CHIP, Device("", 0, 100, 32768, 100, "MR-V100"), row)


def test_cards_are_counted_by_the_cores_of_the_node() -> None:
    cards = COUNTED.inventory(counted_node())
    assert [(card.uuid, card.memory_mib, card.cores, card.slots) for card in cards] == [
        ("ilu1-iluvatar-0", 32768, 100, 100),
        ("ilu1-iluvatar-1", 32768, 100, 100),
    ]


def test_i2_indexes_are_written_by_container_and_left_out_where_there_are_none() -> None:
    there = world(COUNTED, counted_node())
    policy = {"hami.io/gpu-scheduler-policy": "binpack"}
    written = bind(there, COUNTED, pod_of("p", HALF, {}, HALF, annotations=policy))
    text = "ilu1-iluvatar-1,Iluvatar,16384,50:;;ilu1-iluvatar-1,Iluvatar,16384,50:;"
    assert written == {
        "hami.io/iluvatar-vgpu-devices-to-allocate": text,
        "hami.io/iluvatar-vgpu-devices-allocated": text,
        "iluvatar.ai/gpu-assigned": "false",
        "iluvatar.ai/predicate-time": NANOSECONDS,
        "iluvatar.ai/predicate-gpu-idx-0": "1",
        "iluvatar.ai/predicate-gpu-idx-2": "1",
    }


def test_indexes_of_several_cards_stand_in_the_order_of_the_list() -> None:
    written = bind(world(COUNTED, counted_node()), COUNTED, pod_of("p", {COUNT: 2, CORES: 200}))
    assert written["iluvatar.ai/predicate-gpu-idx-0"] == "1,0"
    assert written[COUNTED.allocated_key] == "ilu1-iluvatar-1,Iluvatar,32768,100:ilu1-iluvatar-0,Iluvatar,32768,100:;"


def test_indexes_of_any_container_are_only_the_schedulers_to_write() -> None:
    assert COUNTED.writes("iluvatar.ai/predicate-gpu-idx-31")
    assert not COUNTED.writes("iluvatar.ai/predicate-gpu")


def test_a_user_whose_cores_are_overruled_is_told() -> None:
    assert admit(COUNTED, {COUNT: 2, CORES: 50}, {}).warnings == (
        "container 'main': iluvatar.ai/vcuda-core is 50 and becomes 200: several cards are taken whole",
    )
    assert admit(COUNTED, {COUNT: 2, CORES: 200}, {}).warnings == ()


def test_i6_a_chips_lists_bear_its_name_and_its_container_learns_its_own() -> None:
    register = "GPU-aaa,100,32768,100,MR-V100,0,true,0,:GPU-bbb,100,32768,100,MR-V100,0,true,1,:"
    there = world(CHIP, node("n1", metadata={"annotations": {"hami.io/node-MR-V100-register": register}}))
    amounts = {"iluvatar.ai/MR-V100-vgpu": 1, "iluvatar.ai/MR-V100.vMem": 64, "iluvatar.ai/MR-V100.vCore": 50}
    text = "GPU-bbb,MR-V100,16384,50:;"
    assert bind(there, CHIP, pod_of("p", amounts)) == {
        "hami.io/MR-V100-devices-to-allocate": text,
        "hami.io/MR-V100-devices-allocated": text,
    }
    assert admit(CHIP, amounts, {}).env == (("SOL_CONTINER_NAME", "main"),)
    assert admit(CHIP, {}, {}).env == ()


def test_the_chips_of_the_configuration_take_the_place_of_the_charts() -> None:
    chip = {
        "commonWord": "BI-X",
        "resourceCountName": "x/count",
        "resourceMemoryName": "x/m",
        "resourceCoreName": "x/c",
    }
    content = {"iluvatar": None, "iluvatars": [{**chip, "chipName": "BI-X"}]}
    keys = [profile.key for profile in DevicesSection.model_validate(content).profiles()]
    assert "BI-X" in keys
    assert not {"Iluvatar", "MR-V100"}.intersection(keys)


def test_a_count_alone_never_reaches_the_plugin_and_its_user_is_told() -> None:
    assert admit(COUNTED, {COUNT: 1}, {}).warnings == (
        "container 'main': iluvatar.ai/vgpu without iluvatar.ai/vcuda-memory and iluvatar.ai/vcuda-core never reaches "
        "the vendor's plugin: the container starts without a card",
    )
    for named in ({MEMORY: 10}, {CORES: 10}):
        assert admit(COUNTED, {COUNT: 1, **named}, {}).warnings == ()
    assert admit(COUNTED, {COUNT: 2}, {}).warnings == ()
    assert admit(CHIP, {"iluvatar.ai/MR-V100-vgpu": 1}, {}).warnings == (), "a chip's plugin serves the count"
