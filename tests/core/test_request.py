"""Amounts become requests, selections and policies; amounts that can't work get a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, DeviceRequest
from hami_operator.core.request import amount, read_card_policy, read_node_policy, read_selection
from hami_operator.core.vendor import CardPolicy, Selection
from tests.builders import NVIDIA, amounts, nvidia


def limits(**short: Any) -> Container:
    return Container("main", limits=amounts(short))


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        (limits(gpu=2, mem=3000, cores=30), DeviceRequest(2, 3000, None, 30)),
        (limits(gpu=1), DeviceRequest(1, None, None, 0)),
        (limits(gpu=1, pct=50), DeviceRequest(1, None, 50, 0)),
        (limits(gpu=1, pct=50, mem=4000), DeviceRequest(1, 4000, 50, 0)),
        (limits(gpu=1, mem="2k"), DeviceRequest(1, 2000, None, 0)),
        (limits(gpu=1, mem=0), DeviceRequest(1, None, None, 0)),
        (limits(mem=4000), None),
        (limits(gpu=0, mem=4000), None),
        (limits(), None),
        (Container("main", requests=amounts({"gpu": 1, "mem": 7})), DeviceRequest(1, 7, None, 0)),
    ],
)
def test_amounts_become_a_request(container: Container, wanted: DeviceRequest | None) -> None:
    assert NVIDIA.request(container) == wanted


def test_limits_are_read_before_requests() -> None:
    both = Container("main", limits=amounts({"gpu": 1}), requests=amounts({"gpu": 3}))
    assert NVIDIA.request(both) == DeviceRequest(1, None, None, 0)


def test_defaults_stand_in_for_what_is_not_given() -> None:
    profile = nvidia(defaultMemory=5000, defaultCores=25)
    assert profile.request(limits(gpu=1)) == DeviceRequest(1, 5000, None, 25)
    assert profile.request(limits(gpu=1, pct=10)) == DeviceRequest(1, None, 10, 25)
    assert profile.request(limits(gpu=1, mem=7, cores=0)) == DeviceRequest(1, 7, None, 0)


def test_an_empty_resource_name_is_nobodys() -> None:
    assert nvidia(resourceMemoryName="").request(Container("main", limits={"nvidia.com/gpu": "1", "": "7"})) == (
        DeviceRequest(1, None, None, 0)
    )


@pytest.mark.parametrize(
    ("short", "sentence"),
    [
        ({"gpu": 1, "mem": "3Gi"}, "an integer without a binary suffix; if memory was meant, write 3072"),
        ({"gpu": 1, "mem": "1500Ki"}, "write 2 (MiB)"),
        ({"gpu": 1, "mem": "3Gi"}, "write 3072 (MiB): nvidia.com/gpumem counts MiB"),
        ({"gpu": "1Ki"}, "nvidia.com/gpu is 1Ki, allowed is an integer without a binary suffix"),
        ({"gpu": 1, "mem": 2**31}, "nvidia.com/gpumem is 2147483648, allowed is an integer from 0 to 2147483647"),
        ({"gpu": 1, "mem": "4G"}, "nvidia.com/gpumem is 4G, allowed is an integer from 0"),
        ({"gpu": 1, "mem": "9" * 40}, "allowed is an integer from 0"),
        ({"gpu": 1, "pct": 0}, "nvidia.com/gpumem-percentage is 0, allowed is an integer from 1 to 100"),
        ({"gpu": 1, "pct": 101}, "nvidia.com/gpumem-percentage is 101, allowed is an integer from 1 to 100"),
        ({"gpu": 1, "cores": 101}, "nvidia.com/gpucores is 101, allowed is an integer from 0 to 100"),
        ({"gpu": "1500m"}, "nvidia.com/gpu is 1500m, allowed is an integer from 0"),
        ({"gpu": -1}, "nvidia.com/gpu is -1, allowed is an integer from 0"),
        ({"gpu": "many"}, "nvidia.com/gpu is 'many', allowed is an integer from 0"),
    ],
)  # fmt: skip
def test_an_amount_that_cannot_work_names_container_resource_value_and_what_is_allowed(
    short: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        NVIDIA.request(limits(**short))
    assert str(caught.value).startswith("container 'main': ")
    assert sentence in str(caught.value)


def test_an_amount_of_a_resource_without_a_name_is_not_given() -> None:
    assert amount(Container("main", limits={"": "1"}), "", 0, 1) is None


@pytest.mark.parametrize("text", ["007", "7", "7000m", "0.007k"])
def test_equal_amounts_are_equal_however_written(text: str) -> None:
    assert amount(Container("main", limits={"r": text}), "r", 0, 10) == 7


# -- selection ---------------------------------------------------------------------------------------------------


def test_a_pod_without_annotations_takes_any_card() -> None:
    assert read_selection(NVIDIA, {}) == Selection()


def test_empty_annotations_are_no_constraint() -> None:
    keys = NVIDIA.selection
    assert read_selection(NVIDIA, {keys.use_uuid: "", keys.nouse_type: " , ", keys.numa_bind: ""}) == Selection()


def test_annotations_become_a_selection() -> None:
    keys = NVIDIA.selection
    selection = read_selection(
        NVIDIA,
        {
            keys.use_uuid: " GPU-a, GPU-b ",
            keys.nouse_uuid: "GPU-b",
            keys.use_type: "A100, Tesla V100",
            keys.nouse_type: "T4",
            keys.mode: "hami-core,mig",
            keys.numa_bind: "true",
        },
    )
    assert selection.use_uuids == {"GPU-a", "GPU-b"}
    assert selection.nouse_uuids == {"GPU-b"}
    assert selection.use_types == ("a100", "tesla v100")
    assert selection.nouse_types == ("t4",)
    assert selection.modes == "hami-core,mig"
    assert selection.numa_bind


@pytest.mark.parametrize(("text", "bound"), [("1", True), ("T", True), ("false", False), ("yes", False)])
def test_numa_binding_is_a_boolean_of_go_and_anything_else_is_off(text: str, bound: bool) -> None:
    assert read_selection(NVIDIA, {NVIDIA.selection.numa_bind: text}).numa_bind is bound


# -- policies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", CardPolicy(pack=True)),
        ("binpack", CardPolicy(pack=True)),
        ("spread", CardPolicy()),
        ("spread, mutex", CardPolicy(mutex=True)),
        ("topology-aware", CardPolicy(topology_aware=True)),
        ("binpack,numa", CardPolicy(pack=True)),
    ],
)
def test_the_card_policy_is_the_pods_or_else_the_default(text: str, policy: CardPolicy) -> None:
    assert read_card_policy({protocol.CARD_POLICY: text}, "binpack") == policy


@pytest.mark.parametrize(("text", "policy"), [("", "spread"), ("binpack", "binpack"), (" spread ", "spread")])
def test_the_node_policy_is_the_pods_or_else_the_default(text: str, policy: str) -> None:
    assert read_node_policy({protocol.NODE_POLICY: text}, "spread") == policy


def test_an_unknown_policy_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InvalidRequest, match=r"hami.io/gpu-scheduler-policy has 'bin-pack', allowed are binpack, spread"
    ):
        read_card_policy({protocol.CARD_POLICY: "bin-pack"}, "spread")
    with pytest.raises(InvalidRequest, match=r"hami.io/node-scheduler-policy has 'topology-aware', allowed are"):
        read_node_policy({protocol.NODE_POLICY: "topology-aware"}, "binpack")
    with pytest.raises(InvalidRequest, match="allowed is one of"):
        read_node_policy({protocol.NODE_POLICY: "binpack,spread"}, "binpack")
