"""Plugins that take HAMi's lists and add to them: templates, compute units, cuts of a card."""

from __future__ import annotations

import json

import pytest

from hami_operator.core.model import Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.plugins import Desk, Tenancy
from tests.sandbox.plugins.desks import Json, desk, given, pod, serve


def listed(at: Desk, memory: int, cores: int = 0, **more: str) -> Json:
    """A pod of one container with a share of the first card."""
    text = f"{at.cards[0].uuid},{at.habits.family},{memory},{cores}:;"
    annotations = {at.habits.to_allocate_key: text, at.habits.allocated_key: text, **more}
    return pod({at.habits.resource: 1}, annotations=annotations)


def template(at: Desk, name: str, memory: int) -> Json:
    entry = {"UUID": at.cards[0].uuid, "temp": name} if name else {"UUID": at.cards[0].uuid}
    return listed(at, memory, **{f"huawei.com/{at.habits.family}": json.dumps([entry])})


def test_ascend_makes_the_slice_that_the_annotation_names() -> None:
    at = desk("ascend310p")
    shares, answer = given(at, template(at, "vir02", 6144), at.habits.resource, 1)
    assert [memory for _, memory, _ in shares] == [6144]
    assert answer.injection.envs == {"ASCEND_VISIBLE_DEVICES": "0", "ASCEND_VNPU_SPECS": "vir02"}
    assert answer.last


@pytest.mark.parametrize(
    ("name", "memory", "words"),
    [
        ("vir16", 17476, "template 'vir16' is not known here; known are vir01, vir02, vir04"),
        ("vir02", 3072, "vir02 has 6144 MiB, 3072 MiB are counted"),
        ("", 6144, "the whole card has 21527 MiB, 6144 MiB are counted"),
    ],
)
def test_ascend_refuses_a_slice_that_is_not_what_was_counted(name: str, memory: int, words: str) -> None:
    at = desk("ascend310p")
    with pytest.raises(AllocateFailed) as refused:
        serve(at, template(at, name, memory), at.habits.resource, 1)
    assert words in str(refused.value)


def test_ascend_refuses_a_card_of_which_nothing_is_told() -> None:
    at = desk("ascend310p")
    with pytest.raises(AllocateFailed, match="does not tell how card"):
        serve(at, listed(at, 6144), at.habits.resource, 1)


def test_amd_takes_the_first_compute_units_that_are_free_and_tells_them() -> None:
    uuid = desk("mi300x").cards[0].uuid
    held = {0: [Tenancy("uid-a", Share(uuid, "x", 1, 4), json.dumps({uuid: "0-1,4-5"}))]}
    at = desk("mi300x", 1, held)
    _, answer = given(at, listed(at, 4096, 5), at.habits.resource, 1)
    assert answer.writes["hami.io/amd-cu-allocated"] == json.dumps({uuid: "2-3,6-8"}, separators=(",", ":"))
    with pytest.raises(AllocateFailed, match="has 300 compute units free, 301 are asked for"):
        serve(at, listed(at, 4096, 301), at.habits.resource, 1)


def test_kunlunxin_cuts_a_card_in_slices_of_one_size() -> None:
    at = desk("kunlun-p800-vxpu", 8, {0: [Share("x", "XPU", 49152, 50)]})
    assert serve(at, listed(at, 49152, 50), at.habits.resource, 1) is not None
    with pytest.raises(AllocateFailed, match=r"slices of \[24576, 49152\] MiB at once"):
        serve(at, listed(at, 24576, 25), at.habits.resource, 1)


def test_kunlunxins_driver_has_32_handles() -> None:
    quarter = Share("x", "XPU", 24576, 25)
    six = desk("kunlun-p800-vxpu", 8, {index: [quarter] for index in range(1, 6)})
    assert serve(six, listed(six, 24576, 25), six.habits.resource, 1) is not None
    seven = desk("kunlun-p800-vxpu", 8, {index: [quarter] for index in range(1, 7)})
    with pytest.raises(AllocateFailed, match="36 handles would be needed, the driver has 32"):
        serve(seven, listed(seven, 24576, 25), seven.habits.resource, 1)


def test_biren_empties_the_list_that_others_keep() -> None:
    at = desk("br104")
    _, answer = given(at, listed(at, 0), at.habits.resource, 1)
    assert answer.writes == {"hami.io/Biren-devices-allocated": ";;"}
