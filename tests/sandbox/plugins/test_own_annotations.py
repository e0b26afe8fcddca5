"""Plugins that read annotations of their own: what they hand out, what they write, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hami_operator.core.model import ContainerKind, Share
from hami_operator.sandbox.checker import Checker, Claim
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.plugins import Tenancy
from tests.sandbox.plugins.desks import desk, given, pod, serve

NEURON, CORE = "aws.amazon.com/neuron", "aws.amazon.com/neuroncore"
SLICES = "enflame.com/shared-gcu"
SGPU = "metax-tech.com/sgpu"
MLU_CORES, MLU_MEMORY = "cambricon.com/mlu.smlu.vcore", "cambricon.com/mlu.smlu.vmemory"
ILUVATAR = {"iluvatar.ai/vgpu": 1, "iluvatar.ai/vcuda-core": 50, "iluvatar.ai/vcuda-memory": 64}
CARDS = "metax-tech.com/gpu-devices-allocated"


def test_containers_take_their_cards_of_a_pods_one_list_in_order() -> None:
    obj = pod({"kunlunxin.com/xpu": 2}, {"kunlunxin.com/xpu": 1}, annotations={"BAIDU_COM_DEVICE_IDX": "0,1,4"})
    at = desk("kunlun-p800", 8)
    first, answer = given(at, obj, "kunlunxin.com/xpu", 2)
    assert [uuid for uuid, _, _ in first] == ["n-kunlun-0", "n-kunlun-1"]
    second, answer = given(at, obj, "kunlunxin.com/xpu", 1)
    assert [uuid for uuid, _, _ in second] == ["n-kunlun-4"]
    assert answer.injection.envs == {"XPU_VISIBLE_DEVICES": "4"}


def test_neuron_cores_are_counted_over_the_node_and_the_flag_is_turned() -> None:
    obj = pod({CORE: 2}, annotations={"AWS_NEURON_IDS": "6,7", "NEURON_RESOURCE_TYPE": CORE})
    shares, answer = given(desk("trn1", 4), obj, CORE, 2)
    assert [uuid for uuid, _, _ in shares] == ["n-AWSNeuron-3-core-0", "n-AWSNeuron-3-core-1"]
    assert answer.writes == {"NEURON_ALLOCATED": "true"}


def test_a_core_that_is_given_twice_is_a_violation() -> None:
    at = desk("trn2", 1)
    checker = Checker(at.habits.checked(at.cards), units=at.habits.units)

    def claim(name: str, ids: str) -> list[str]:
        obj = pod({CORE: 2}, annotations={"AWS_NEURON_IDS": ids, "NEURON_RESOURCE_TYPE": CORE})
        _, answer = given(at, obj, CORE, 2)
        return checker.claim(Claim(f"default/{name}", name, 0, "c0", ContainerKind.APP, answer.shares))

    assert claim("a", "0,1") == []
    assert claim("b", "2,3") == []
    assert claim("c", "3,4") == [
        "pod default/c, container c0: 2 of 1 slots of card n-AWSNeuron-0-core-3 would be given out",
        "pod default/c, container c0: 2 of 1 cores of card n-AWSNeuron-0-core-3 would be given out",
    ]


def test_slices_of_each_container_come_from_the_pods_card_and_are_marked() -> None:
    obj = pod({SLICES: 3}, {SLICES: 1}, annotations={"enflame.com/gcu-assigned-minor": "1"})
    shares, answer = given(desk("s60-shared"), obj, SLICES, 1)
    assert shares == [("n-enflame-1", 1, 0)]
    assert answer.place.container == "c1"
    assert not answer.last
    assert json.loads(answer.writes["assigned-containers"]) == {"c1": {"allocated": True}}
    obj["metadata"]["annotations"] |= answer.writes
    at = replace(desk("s60-shared"), served={"uid-p": frozenset({(1, SLICES)})})
    assert serve(at, obj, SLICES, 1) is None
    _, answer = given(at, obj, SLICES, 3)
    assert answer.last
    assert answer.writes["enflame.com/gcu-assigned"] == "true"


def test_iluvatars_and_cambricons_second_call_for_a_container_gives_no_second_card() -> None:
    obj = pod({}, ILUVATAR, annotations={"iluvatar.ai/predicate-gpu-idx-1": "0"})
    at = desk("mr-v100")
    shares, answer = given(at, obj, "iluvatar.ai/vcuda-core", 50)
    assert shares == [("n-iluvatar-0", 16384, 50)]
    assert (answer.last, answer.writes) == (False, {})
    at = replace(at, served={"uid-p": frozenset({(1, "iluvatar.ai/vcuda-core")})})
    shares, answer = given(at, obj, "iluvatar.ai/vcuda-memory", 64)
    assert (shares, answer.writes) == ([], {"iluvatar.ai/gpu-assigned": "true"})

    obj = pod({MLU_CORES: 10, MLU_MEMORY: 20}, annotations={"CAMBRICON_DSMLU_PROFILE": "1_10_20"})
    at = desk("mlu370")
    shares, answer = given(at, obj, MLU_CORES, 10)
    assert (shares, answer.last) == ([("n-cambricon-mlu-1", 5120, 10)], False)
    at = replace(at, served={"uid-p": frozenset({(0, MLU_CORES)})})
    shares, answer = given(at, obj, MLU_MEMORY, 20)
    assert (shares, answer.last, answer.writes["CAMBRICON_DSMLU_ASSIGHED"]) == ([], True, "true")


def test_metax_registers_what_is_left_and_the_quality_of_the_card() -> None:
    held = {0: [Tenancy("uid-a", Share("x", "Metax-SGPU", 4096, 60), "fixed-share")]}
    at = desk("metax-c500-sgpu", 2, held)
    first, second = json.loads(at.habits.publish(at)["metax-tech.com/node-gpu-devices"])
    assert (first["availableDevCount"], first["availableCompute"], first["availableVRam"]) == (15, 40, 61440)
    assert first["qosPolicy"] == "fixed-share"
    assert "qosPolicy" not in second


def test_plugins_that_choose_by_themselves_take_idle_cards() -> None:
    at = desk("metax-c500", 3, {0: [Share("x", "Metax-GPU", 65536, 100)]})
    shares, _ = given(at, pod({"metax-tech.com/gpu": 2}), "metax-tech.com/gpu", 2)
    assert [uuid for uuid, _, _ in shares] == ["n-metax-1", "n-metax-2"]
    assert json.loads(at.habits.publish(at)["metax-tech.com/gpu.topology.losses"]) == {"1": 10, "2": 0}
    with pytest.raises(AllocateFailed, match="3 cards are asked for, 2 are idle"):
        serve(at, pod({"metax-tech.com/gpu": 3}), "metax-tech.com/gpu", 3)


def cards(**entry: Any) -> dict[str, str]:
    uuid = desk("metax-c500-sgpu").cards[0].uuid
    return {CARDS: json.dumps([[{"uuid": uuid, **entry}]]), "metax-tech.com/sgpu-qos-policy": "best-effort"}


#: Card type, limits, annotations, the call, and the words of the refusal.
WRONG = {
    "an index that no card has": ("kunlun-p800", {"kunlunxin.com/xpu": 1}, {"BAIDU_COM_DEVICE_IDX": "7"}, "no card 7"),
    "fewer cards than asked for": (
        "kunlun-p800",
        {"kunlunxin.com/xpu": 2},
        {"BAIDU_COM_DEVICE_IDX": "1"},
        "1 cards are left for the container, 2 are asked for",
    ),
    "no list of numbers": ("kunlun-p800", {"kunlunxin.com/xpu": 1}, {"BAIDU_COM_DEVICE_IDX": "a"}, "'a', not a list"),
    "devices where cores are asked for": ("trn1", {CORE: 1}, {"AWS_NEURON_IDS": "1"}, f"is of {NEURON}"),
    "a core of no device": (
        "trn1",
        {CORE: 1},
        {"AWS_NEURON_IDS": "9", "NEURON_RESOURCE_TYPE": CORE},
        "there is no card 4",
    ),
    "slices that no number of cards shares": (
        "s60-shared",
        {SLICES: 3},
        {"enflame.com/gcu-assigned-minor": "0,1"},
        "3 slices are asked for of 2 cards",
    ),
    "a partition of another size": (
        "s60-drs",
        {"enflame.com/drs-gcu": 3},
        {
            "enflame.com/gcu-assigned-minor": "0",
            "assigned-containers": '{"c0":{"request":3,"profileID":"2","profileName":"3g.20gb"}}',
        },
        "is no partition of 3 slices",
    ),
    "a profile that can't be read": (
        "mlu370",
        {MLU_CORES: 10, MLU_MEMORY: 20},
        {"CAMBRICON_DSMLU_PROFILE": "1_10"},
        "'1_10', not card_cores_memory",
    ),
    "cores without memory": (
        "mlu370",
        {MLU_CORES: 10},
        {"CAMBRICON_DSMLU_PROFILE": "1_10_0"},
        f"a pod must ask for {MLU_CORES} and for {MLU_MEMORY}",
    ),
    "two cards where one is asked for": (
        "mr-v100",
        ILUVATAR,
        {"iluvatar.ai/predicate-gpu-idx-0": "0,1"},
        "2 cards are named, the container asks for 1",
    ),
    "no cards of the container": ("metax-c500-sgpu", {SGPU: 1}, {CARDS: "[]"}, "no cards of container 0"),
    "more cards than decided": ("metax-c500-sgpu", {SGPU: 2}, cards(compute=10), "1 cards are decided, 2 asked for"),
}


@pytest.mark.parametrize(("card", "limits", "annotations", "words"), WRONG.values(), ids=WRONG)
def test_what_a_plugin_can_not_serve_it_refuses(
    card: str, limits: Mapping[str, int], annotations: Mapping[str, str], words: str
) -> None:
    at = desk(card)
    resource = next(name for name in at.habits.amounts(at.habits, at.cards) if name in limits)
    with pytest.raises(AllocateFailed) as refused:
        serve(at, pod(limits, annotations=annotations), resource, limits[resource])
    assert words in str(refused.value)


@pytest.mark.parametrize(("compute", "refused"), [(10, True), (100, False), (0, False)])
def test_pods_of_two_qualities_do_not_share_a_card(compute: int, refused: bool) -> None:
    held = {0: [Tenancy("uid-a", Share("x", "Metax-SGPU", 4096, 60), "fixed-share")]}
    at, obj = desk("metax-c500-sgpu", 2, held), pod({SGPU: 1}, annotations=cards(compute=compute, vRam=1024))
    if refused:
        with pytest.raises(AllocateFailed, match="has pods of fixed-share, this one is best-effort"):
            serve(at, obj, SGPU, 1)
    else:
        assert serve(at, obj, SGPU, 1) is not None


def test_cambricon_serves_a_pod_with_one_container_that_asks_and_no_other() -> None:
    obj = pod({MLU_CORES: 10, MLU_MEMORY: 20}, {MLU_CORES: 10, MLU_MEMORY: 20})
    with pytest.raises(AllocateFailed, match="not exactly one container"):
        serve(desk("mlu370"), obj, MLU_CORES, 10)
