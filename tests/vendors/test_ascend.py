"""Ascend: templates, network groups, modules, soft mode, and what the plugin is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.model import Container, Device
from hami_operator.core.vendor import Profile
from tests.builders import node
from tests.golden import rows
from tests.vendors.binding import bind, pod_of, refusal, together, world
from tests.vendors.replay import admit, check_fit, check_request, family

CARDS: Mapping[str, tuple[int, int, int]] = {
    "Ascend310P": (7, 21527, 8),
    "Ascend910B3": (4, 65536, 20),
    "Ascend910C": (1, 65536, 20),
}


def chip(word: str, **vnpus: Any) -> Profile:
    return family(word, vnpus=vnpus)


def names(word: str) -> tuple[str, str]:
    return f"huawei.com/{word}", f"huawei.com/{word}-memory"


# -- the worked examples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("ascend.yaml", "rounding"))
def test_memory_is_rounded_up_to_a_template_or_the_card(row: dict[str, Any]) -> None:
    profile = chip(row["name"])
    count, memory = names(row["name"])
    for asked, written in row["written"].items():
        if written is None:
            check_request(profile, {"limits": {count: 1, memory: asked}, "denied": f"{memory} is {asked}, allowed is"})
        else:
            assert admit(profile, {count: 1, memory: asked}, {}).resources[memory] == written


@pytest.mark.parametrize("row", rows("ascend.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(chip(row["chip"]), row)


@pytest.mark.parametrize("row", rows("ascend.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    slots, memory, cores = CARDS[row["chip"]]
    check_fit(chip(row["chip"]), Device("", 0, slots, memory, cores, row["chip"]), row)


@pytest.mark.parametrize("row", rows("ascend.yaml", "network_scores"))
def test_a_placement_within_one_network_group_scores_best(row: dict[str, Any]) -> None:
    networks = [network for container in row["networks"] for network in container]
    cards = [
        Device(f"d{i}", i, 4, 65536, 20, "Ascend910B3", custom={} if n is None else {"NetworkID": n})
        for i, n in enumerate(networks)
    ]
    fresh = iter(cards)
    given = [[next(fresh) for _ in container] for container in row["networks"]]
    assert together(chip("Ascend910B3"), given) == pytest.approx(row["score"], abs=1e-4)


def test_chips_without_a_network_have_no_score() -> None:
    card = Device("d0", 0, 7, 21527, 8, "Ascend310P", custom={"NetworkID": 0})
    assert together(chip("Ascend310P"), [[card]]) == 0


# -- configuration -----------------------------------------------------------------------------------------------

OLD_LAYOUT = [
    {
        "chipName": "910B4-1",
        "commonWord": "Ascend910B4-1",
        "resourceName": "huawei.com/Ascend910B4-1",
        "resourceMemoryName": "huawei.com/Ascend910B4-1-memory",
        "memoryAllocatable": 65536,
        "memoryCapacity": 65536,
        "aiCore": 20,
        "aiCPU": 7,
        "templates": [
            {"name": "vir10_3c_16g", "memory": 16384, "aiCore": 10, "aiCPU": 3},
            {"name": "vir05_1c_8g", "memory": 8192, "aiCore": 5, "aiCPU": 1},
        ],
    }
]


def test_the_list_of_chips_of_the_old_layout_is_read_as_it_is() -> None:
    (profile,) = [p for p in DevicesSection.model_validate({"vnpus": OLD_LAYOUT}).profiles() if "Ascend" in p.key]
    assert profile.names.all() == names("Ascend910B4-1")
    count, memory = names("Ascend910B4-1")
    for asked, written in {0: 8192, 12289: 16384, 17477: 65536, 65536: 65536}.items():
        assert admit(profile, {count: 1, memory: asked}, {}).resources[memory] == written


def test_a_setting_for_all_chips_gives_way_to_that_of_one() -> None:
    chips = [{**OLD_LAYOUT[0], "runtimeClassName": "own"}, {**OLD_LAYOUT[0], "commonWord": "Ascend910X"}]
    content = {"runtimeClassName": "ascend", "configs": chips}
    classes = {
        word: admit(family(word, vnpus=content), {"huawei.com/Ascend910B4-1": 1}, {}).runtime_class
        for word in ("Ascend910B4-1", "Ascend910X")
    }
    assert classes == {"Ascend910B4-1": "own", "Ascend910X": "ascend"}


def test_a_memory_factor_is_applied_once_and_shown_in_the_units_of_the_resource() -> None:
    profile = chip("Ascend910B4-1", configs=[{**OLD_LAYOUT[0], "memoryFactor": 1024}])
    count, memory = names("Ascend910B4-1")
    admission = admit(profile, {count: 1, memory: 9}, {})
    assert admission.resources == {count: 1, memory: 16}
    request = profile.request(Container("main", limits={count: "1", memory: "16"}))
    assert request is not None
    assert request.memory_mib == 16384


def test_templates_that_are_no_multiple_of_the_factor_are_read_back_as_themselves() -> None:
    content = {**OLD_LAYOUT[0], "memoryFactor": 1000}
    count, memory = names("Ascend910B4-1")
    profile = chip("Ascend910B4-1", configs=[content])
    for asked in range(66):
        written = admit(profile, {count: 1, memory: asked}, {}).resources[memory]
        assert admit(profile, {count: 1, memory: written}, {}).resources[memory] == written


def test_only_containers_without_any_chip_are_told_that_they_see_none() -> None:
    chips = [{**OLD_LAYOUT[0], "overwriteEnv": True}]
    profile = chip("Ascend910B4-1", configs=[*chips, {**chips[0], "commonWord": "B", "resourceName": "huawei.com/B"}])
    count = "huawei.com/Ascend910B4-1"
    assert admit(profile, {}, {}).env == (("ASCEND_VISIBLE_DEVICES", ""),)
    assert not admit(profile, {}, {}).claimed
    assert admit(profile, {"huawei.com/B": 1}, {}).env == ()
    assert admit(profile, {count: 1}, {}).env == ()


# -- what the plugin reads ---------------------------------------------------------------------------------------


def registered(word: str, count: int, annotations: Mapping[str, str] | None = None) -> Any:
    slots, memory, cores = CARDS.get(word, (15, 32768, 30))
    records = [
        {"id": f"device-{i}", "index": i, "count": slots, "devmem": memory, "devcore": cores, "health": True}
        for i in range(count)
    ]
    texts = {f"hami.io/node-register-{word}": json.dumps(records), **(annotations or {})}
    return node("n1", metadata={"annotations": texts})


def test_ex_16_a_slice_and_a_card_as_version_2_7_writes_them() -> None:
    profile = chip("Ascend910A", dialect="2.7")
    count, memory = names("Ascend910A")
    there = world(profile, registered("Ascend910A", 1))
    text = "device-0,Ascend910A,8738,0:;"
    assert bind(there, profile, pod_of("slice", {count: 1, memory: 8738})) == {
        "hami.io/Ascend910A-devices-to-allocate": text,
        "hami.io/Ascend910A-devices-allocated": text,
        "predicate-time": "1760000000",
        "huawei.com/Ascend910A": '[{"UUID":"device-0","temp":"vir08"}]',
    }
    there = world(profile, registered("Ascend910A", 1))
    whole = bind(there, profile, pod_of("card", {count: 1, memory: 32768}))
    assert whole["huawei.com/Ascend910A"] == '[{"UUID":"device-0"}]'


def test_cards_of_the_second_container() -> None:
    profile = chip("Ascend910B3", dialect="2.7")
    count, memory = names("Ascend910B3")
    written = bind(world(profile, registered("Ascend910B3", 8)), profile, pod_of("p", {}, {count: 2, memory: 65536}))
    lists = ";device-7,Ascend910B3,65536,0:device-6,Ascend910B3,65536,0:;"
    assert written["hami.io/Ascend910B3-devices-to-allocate"] == lists
    assert written["huawei.com/Ascend910B3"] == '[{"UUID":"device-7"},{"UUID":"device-6"}]'


def test_version_2_10_is_told_the_amounts_too() -> None:
    profile = chip("Ascend910B3")
    count, memory = names("Ascend910B3")
    written = bind(world(profile, registered("Ascend910B3", 2)), profile, pod_of("p", {count: 1, memory: 16384}))
    assert written["huawei.com/Ascend910B3"] == '[{"UUID":"device-1","temp":"vir05_1c_16g","memory":16384}]'


@pytest.mark.parametrize("dialect", ["2.7", "2.10"])
def test_a_soft_share_has_amounts_and_no_template(dialect: str) -> None:
    profile = chip("Ascend910B3", dialect=dialect)
    count, memory = names("Ascend910B3")
    soft = pod_of(
        "p", {count: 1, memory: 28672, f"{count}-core": 40}, annotations={"huawei.com/vnpu-mode": "hami-core"}
    )
    written = bind(world(profile, registered("Ascend910B3", 2, {"hami-vnpu-core": "true"})), profile, soft)
    assert written["hami.io/Ascend910B3-devices-to-allocate"] == "device-1,Ascend910B3,28672,40:;"
    assert written["huawei.com/Ascend910B3"] == '[{"UUID":"device-1","memory":28672,"core":40}]'


# -- between containers and nodes --------------------------------------------------------------------------------


def test_two_slices_of_one_card_are_equal_or_come_from_different_cards() -> None:
    """The plugin looks a slice up by its card: of two different ones both containers would get the first."""
    profile = chip("Ascend310P")
    count, memory = names("Ascend310P")
    there = world(profile, registered("Ascend310P", 2))
    annotations = {"hami.io/gpu-scheduler-policy": "binpack"}
    unequal = pod_of("unequal", {count: 1, memory: 3072}, {count: 1, memory: 6144}, annotations=annotations)
    written = bind(there, profile, unequal)
    assert written[profile.allocated_key] == "device-1,Ascend310P,3072,0:;device-0,Ascend310P,6144,0:;"
    equal = pod_of("equal", {count: 1, memory: 3072}, {count: 1, memory: 3072}, annotations=annotations)
    first, second, _ = bind(there, profile, equal)[profile.allocated_key].split(";")
    assert first == second
    alone = world(profile, registered("Ascend310P", 1))
    assert refusal(alone, unequal) == "1/1 CardNotFoundCustomFilterRule"


def test_a_node_that_changes_its_mode_is_asked_again() -> None:
    profile = chip("Ascend910B3")
    count, memory = names("Ascend910B3")
    there = world(profile, registered("Ascend910B3", 2))
    soft = pod_of("p", {count: 1, memory: 1024}, annotations={"huawei.com/vnpu-mode": "hami-core"})
    hard = pod_of("q", {count: 1, memory: 16384})
    assert refusal(there, soft) == "2/2 ModeNotFit"
    assert there.inventory.update(registered("Ascend910B3", 2, {"hami-vnpu-core": "true"})).changed
    assert refusal(there, hard) == "2/2 ModeNotFit"
    assert bind(there, profile, soft)


def test_nodes_that_do_not_tell_their_mode_have_the_configured_one() -> None:
    profile = chip("Ascend910B3", hamiVnpuCore=True)
    count, memory = names("Ascend910B3")
    hard = pod_of("p", {count: 1, memory: 16384})
    assert refusal(world(profile, registered("Ascend910B3", 2)), hard) == "2/2 ModeNotFit"
    assert bind(world(profile, registered("Ascend910B3", 2, {"hami-vnpu-core": "false"})), profile, hard)


def test_a_request_for_one_chip_is_never_given_another_whose_name_begins_so() -> None:
    profiles = DevicesSection.model_validate({"vnpus": {}}).profiles()
    smaller = next(profile for profile in profiles if profile.key == "Ascend910B4")
    there = world(smaller, registered("Ascend910B4-1", 1))
    asked = pod_of("p", {"huawei.com/Ascend910B4": 1, "huawei.com/Ascend910B4-memory": 32768})
    assert refusal(there, asked) == "NodeUnregistered (no Ascend910B4 cards are registered)"
