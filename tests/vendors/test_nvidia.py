"""NVIDIA: its table of amounts and its worked examples, through the same code that webhook and scheduler call."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, DeviceRequest
from hami_operator.core.reasons import refusals_text
from hami_operator.core.vendor import Admission, CardPolicy, FitContext, Selection, charge_as_asked
from tests.builders import NVIDIA, amounts, answer, asking, cards, device, node, nvidia, offer, pod
from tests.golden import rows


def admit(short: dict[str, Any], **section: Any) -> Admission:
    profile = nvidia(**section)
    return profile.hooks.admit(profile, Container("main", limits=amounts(short)), {})


def after_admission(short: dict[str, Any]) -> DeviceRequest | None:
    """The request of a container once admission has added its defaults."""
    added = {name: str(value) for name, value in admit(short).resources.items()}
    return NVIDIA.request(Container("main", limits={**amounts(short), **added}))


@pytest.mark.parametrize("row", rows("nvidia.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal_as_the_table_says(row: dict[str, Any]) -> None:
    if "denied" in row:
        with pytest.raises(InvalidRequest) as caught:
            admit(row["limits"])
        assert row["denied"] in str(caught.value)
        assert "container 'main'" in str(caught.value)
        return
    request = after_admission(row["limits"])
    assert request == (row["request"] and DeviceRequest(*row["request"]))
    if "charge" in row:
        card = device(memory_mib=row["card"])
        context = FitContext(NVIDIA, request, Selection(), CardPolicy(), pod(), node(), frozenset())
        assert charge_as_asked(context, card).memory_mib == row["charge"]
    warned = " ".join(admit(row["limits"]).warnings)
    assert row.get("warning", "") in warned
    assert bool(warned) == ("warning" in row)


@pytest.mark.parametrize("row", rows("nvidia.yaml", "fits"))
def test_a_request_gets_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    offered, used = [], {}
    for index, fields in enumerate(row["cards"]):
        uuid = f"GPU-{index}"
        held = fields.get("used")
        if held:
            used[uuid] = held
        offered.append(device(uuid, index=index, **{key: fields[key] for key in fields if key != "used"}))
    got = answer(
        asking(annotations=row.get("annotations"), **row["limits"]),
        offer(offered, used, cordoned=row.get("cordoned", ())),
    )
    if "reasons" in row:
        assert isinstance(got, tuple), got
        assert refusals_text(got) == row["reasons"]
    else:
        assert cards(got) == row["taken"]


def test_the_priority_becomes_an_environment_variable_even_without_a_card() -> None:
    assert admit({"priority": 1}).env == (("CUDA_TASK_PRIORITY", "1"),)
    assert admit({"gpu": 1, "priority": 0}).env == (("CUDA_TASK_PRIORITY", "0"),)


def test_the_core_policy_reaches_only_containers_with_cards() -> None:
    assert ("GPU_CORE_UTILIZATION_POLICY", "force") in admit({"gpu": 1}, gpuCorePolicy="force").env
    assert admit({}, gpuCorePolicy="force").env == ()


def test_containers_without_cards_see_none_where_that_is_wanted() -> None:
    assert admit({}, overwriteEnv=True).env == (("NVIDIA_VISIBLE_DEVICES", "none"),)
    assert admit({"gpu": 1}, overwriteEnv=True).env == ()
    assert admit({}).env == ()


def test_the_runtime_class_is_that_of_the_configuration() -> None:
    assert admit({"gpu": 1}, runtimeClassName="nvidia").runtime_class == "nvidia"
    assert admit({}, runtimeClassName="nvidia").runtime_class == ""


def test_without_a_default_count_a_share_needs_one() -> None:
    with pytest.raises(InvalidRequest, match=r"asks for a share of a card without nvidia\.com/gpu"):
        admit({"mem": 1000}, defaultGPUNum=0)


def test_a_default_memory_keeps_a_bare_count_shareable() -> None:
    assert admit({"gpu": 1}, defaultMemory=4000).resources == {}


def test_without_a_memory_resource_a_bare_count_takes_the_whole_card() -> None:
    assert admit({"gpu": 2}, resourceMemoryName="").resources == {"nvidia.com/gpucores": 100}


def test_a_container_that_names_nothing_of_ours_is_not_claimed() -> None:
    assert admit({"cpu": 1}) == Admission()
