"""The NVIDIA plugin in mode mig: parts of layouts up to release 2.9, parts in their places from 2.10 on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hami_operator.core.model import Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.plugins import Desk
from tests.sandbox.plugins.desks import Json, desk, given, pod

GPU = "nvidia.com/gpu"
LISTS = ("hami.io/vgpu-devices-to-allocate", "hami.io/vgpu-devices-allocated")
PARTS = "hami.io/vgpu-mig-allocations"

#: Of the A100's profiles the memory and cores that are counted.
SMALL, QUARTER, HALF = (4864, 14), (9984, 29), (20096, 43)


def card(at: Desk) -> str:
    return at.cards[0].uuid


# -- the card is cut as a whole ----------------------------------------------------------------------------------


def cut(*held: str) -> Desk:
    """An A100 of 40 GB and HAMi 2.7, with these parts of it in use."""
    uuid = card(desk("a100-40-mig", 1))
    return desk("a100-40-mig", 1, {0: [Share(f"{uuid}[{place}]", "NVIDIA", 5120, 0) for place in held]}, "2.7")


def asks(at: Desk, *parts: tuple[str, int]) -> Json:
    """A pod with these parts as (place, MiB)."""
    text = "".join(f"{card(at)}{place and f'[{place}]'},NVIDIA,{memory},0:" for place, memory in parts) + ";"
    return pod({GPU: len(parts)}, annotations=dict.fromkeys(LISTS, text))


def test_a_container_is_told_its_parts_and_nothing_else() -> None:
    at = cut("1-2")
    _, answer = given(at, asks(at, ("1-0", 10240), ("1-3", 5120)), GPU, 2)
    assert answer.injection.mounts == ()
    assert set(answer.injection.envs) == {"NVIDIA_VISIBLE_DEVICES"}
    parts = answer.injection.envs["NVIDIA_VISIBLE_DEVICES"].split(",")
    assert len(set(parts)) == 2
    assert all(part.startswith("MIG-") for part in parts)


@pytest.mark.parametrize(
    ("held", "parts", "problem"),
    [
        ((), [("", 10240)], "names no part of it"),
        ((), [("1-4", 5120)], "is no part of the card, whose layouts are 0, 1, 2, 3"),
        ((), [("4-0", 5120)], "is no part of the card"),
        ((), [("1-0", 5120)], "has 10240 MiB, 5120 MiB are counted"),
        (("1-0",), [("1-0", 10240)], "is in use already"),
        ((), [("0-1", 5120), ("0-1", 5120)], "is in use already"),
        (("0-6",), [("1-0", 10240)], "needs another layout than .*0-6"),
    ],
)
def test_what_the_card_can_not_be_cut_to_fails(held: tuple[str, ...], parts: list[Any], problem: str) -> None:
    at = cut(*held)
    with pytest.raises(AllocateFailed, match=problem):
        given(at, asks(at, *parts), GPU, len(parts))


# -- part by part ------------------------------------------------------------------------------------------------


def placing(*held: str) -> Desk:
    """An A100 of 40 GB and HAMi 2.10, with these parts of it in use."""
    uuid = card(desk("a100-40-mig", 1))
    return desk("a100-40-mig", 1, {0: [Share(f"{uuid}[{place}]", "NVIDIA", 1, 1) for place in held]})


Wanted = tuple[str, int, int, tuple[int, int]]


def reserved(at: Desk, *containers: list[Wanted]) -> Json:
    """A pod whose containers have these parts as (profile, first slice, slices, (MiB, cores))."""
    records, segments = [], []
    for container, parts in enumerate(containers):
        segments.append("".join(f"{card(at)},NVIDIA,{memory},{cores}:" for *_, (memory, cores) in parts))
        for device, (profile, start, size, _) in enumerate(parts):
            place = {"start": start, "size": size}
            where = {"containerIndex": container, "deviceIndex": device}
            records.append({**where, "gpuUUID": card(at), "profile": profile, "placement": place})
    lists = dict.fromkeys(LISTS, "".join(f"{segment};" for segment in segments))
    return pod(*({GPU: len(p)} if p else {} for p in containers), annotations={**lists, PARTS: json.dumps(records)})


def test_what_the_driver_tells_of_each_profile_is_published() -> None:
    at = placing()
    (record,) = json.loads(at.habits.publish(at)["hami.io/node-nvidia-register"])
    assert [profile["name"] for profile in record["migProfiles"]] == ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"]
    assert record["migProfiles"][1] == {
        "name": "2g.10gb",
        "memoryMB": 9984,
        "core": 29,
        "sliceCount": 2,
        "placements": [{"start": 0, "size": 2}, {"start": 2, "size": 2}, {"start": 4, "size": 2}],
    }


@pytest.mark.parametrize("release", ["2.7", "2.8", "2.9"])
def test_releases_that_cut_whole_cards_publish_no_profile(release: str) -> None:
    at = desk("a100-40-mig", 1, release=release)
    assert "migProfiles" not in at.habits.publish(at)["hami.io/node-nvidia-register"]


def test_parts_are_made_in_their_places_and_their_ids_are_written_down() -> None:
    at = placing("1g.5gb-6")
    obj = reserved(at, [], [("2g.10gb", 0, 2, QUARTER), ("1g.5gb", 3, 1, SMALL)])
    shares, answer = given(at, obj, GPU, 2)
    assert [uuid.partition("[")[2] for uuid, _, _ in shares] == ["2g.10gb-0]", "1g.5gb-3]"]
    first, second = json.loads(answer.writes[PARTS])
    assert (first["gpuInstanceID"], first["computeInstanceID"]) == (3, 0)
    assert (second["gpuInstanceID"], second["computeInstanceID"]) == (10, 0)
    assert answer.injection.envs == {"NVIDIA_VISIBLE_DEVICES": f"{first['migUUID']},{second['migUUID']}"}
    assert "NVIDIA" not in answer.writes["hami.io/vgpu-devices-to-allocate"]
    assert answer.last


def test_parts_of_other_containers_are_left_as_they_are() -> None:
    at = placing()
    _, answer = given(at, reserved(at, [("3g.20gb", 4, 4, HALF)], [("1g.5gb", 3, 1, SMALL)]), GPU, 1)
    first, second = json.loads(answer.writes[PARTS])
    assert first["gpuInstanceID"] == 2
    assert "migUUID" not in second
    assert not answer.last


@pytest.mark.parametrize(
    ("held", "part", "problem"),
    [
        (("1g.5gb-1",), ("2g.10gb", 0, 2, QUARTER), r"2g.10gb-0\] overlaps .*1g.5gb-1\], which is in use"),
        (("3g.20gb-4",), ("1g.5gb", 6, 1, SMALL), "overlaps"),
        ((), ("2g.10gb", 1, 2, QUARTER), "of 2 slices is no place of the card"),
        ((), ("3g.20gb", 0, 3, HALF), "of 3 slices is no place of the card"),
        ((), ("4g.20gb", 0, 4, HALF), "is no place of the card"),
        ((), ("2g.10gb", 0, 2, SMALL), "has 9984 MiB and 29 % of the card"),
    ],
)
def test_what_the_driver_would_not_make_fails(held: tuple[str, ...], part: Wanted, problem: str) -> None:
    at = placing(*held)
    with pytest.raises(AllocateFailed, match=problem):
        given(at, reserved(at, [part]), GPU, 1)


def test_parts_of_one_call_do_not_overlap_either() -> None:
    at = placing()
    with pytest.raises(AllocateFailed, match="overlaps"):
        given(at, reserved(at, [("3g.20gb", 0, 4, HALF), ("1g.5gb", 2, 1, SMALL)]), GPU, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no list of parts in their places"),
        ("[1]", "no list of parts in their places"),
        ("[]", "and the list of container c0 differ"),
        ('[{"containerIndex":0,"deviceIndex":0,"gpuUUID":"GPU-x","profile":"1g.5gb"}]', "no list of parts"),
    ],
)
def test_a_reservation_that_does_not_belong_to_the_list_fails(text: str, problem: str) -> None:
    at = placing()
    obj = reserved(at, [("1g.5gb", 6, 1, SMALL)])
    obj["metadata"]["annotations"][PARTS] = text
    with pytest.raises(AllocateFailed, match=problem):
        given(at, obj, GPU, 1)


def test_a_device_that_is_reserved_twice_fails() -> None:
    at = placing()
    obj = reserved(at, [("1g.5gb", 6, 1, SMALL)])
    obj["metadata"]["annotations"][PARTS] = json.dumps(json.loads(obj["metadata"]["annotations"][PARTS]) * 2)
    with pytest.raises(AllocateFailed, match="names a device of a container twice"):
        given(at, obj, GPU, 1)
