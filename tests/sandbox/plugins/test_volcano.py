"""Volcano's plugin: which pod it takes, what it writes, and what it looks at no more than the real one does."""

from __future__ import annotations

import pytest

from hami_operator.sandbox import plugin_protocol as protocol
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.plugins import Desk
from tests.sandbox.plugins.desks import Json, desk, given, pod, serve

NUMBER = "volcano.sh/vgpu-number"
LEFT, TIME = "volcano.sh/devices-to-allocate", "volcano.sh/vgpu-time"
A, B = "GPU-a,NVIDIA,3000,30:", "GPU-b,NVIDIA,2000,60:"


def of(text: str, *counts: int, **more: str) -> Json:
    """A pod with this list, whose containers ask for so many cards."""
    limits = [{NUMBER: count} if count else {} for count in counts]
    return pod(*limits, annotations={LEFT: text, "volcano.sh/vgpu-node": "n", **more})


def test_the_register_has_six_fields_a_card() -> None:
    at = desk("a30-volcano", 1)
    (card,) = at.cards
    assert at.habits.publish(at) == {
        "volcano.sh/node-vgpu-register": f"{card.uuid},10,24576,NVIDIA-NVIDIA A30,true,hami-core:"
    }


@pytest.mark.parametrize(("release", "reports"), [("2.7", True), ("2.10", False)])
def test_only_an_old_plugin_reports_to_the_handshake(release: str, reports: bool) -> None:
    at = desk("a30-volcano", 1, release=release)
    written = protocol.registration(at, {}, 1760000000)
    assert ("volcano.sh/node-vgpu-handshake" in written) is reports


def test_the_first_container_with_cards_is_served_and_its_segment_emptied() -> None:
    shares, answer = given(desk("a30-volcano"), of(f";{A}{B}", 0, 2), NUMBER, 2)
    assert shares == [("GPU-a", 3000, 30), ("GPU-b", 2000, 60)]
    assert answer.place.container == "c1"
    assert answer.writes == {LEFT: ";"}
    assert answer.injection.envs == {
        "NVIDIA_VISIBLE_DEVICES": "GPU-a,GPU-b",
        "CUDA_DEVICE_MEMORY_LIMIT_0": "3000m",
        "CUDA_DEVICE_MEMORY_LIMIT_1": "2000m",
        "CUDA_DEVICE_SM_LIMIT": "30",
    }


def test_init_containers_have_no_segment() -> None:
    obj = of(A, 1)
    obj["spec"]["initContainers"] = [{"name": "init"}]
    _, answer = given(desk("a30-volcano"), obj, NUMBER, 1)
    assert answer.place.container == "c0"


@pytest.mark.parametrize("text", ["", ";", A + B, f"{A};{B}"])
def test_a_pod_with_another_number_of_cards_left_is_not_meant(text: str) -> None:
    assert serve(desk("a30-volcano"), of(text, 1, 1), NUMBER, 1) is None


def test_two_containers_never_get_what_is_asked_for_both_at_once() -> None:
    with pytest.raises(AllocateFailed, match="1 decided, 2 asked for"):
        serve(desk("a30-volcano"), of(f"{A};{B}", 1, 1), NUMBER, 2)


def test_more_segments_than_containers_fail() -> None:
    with pytest.raises(AllocateFailed, match="container 1, the pod has 1"):
        serve(desk("a30-volcano"), of(f";{A}", 1), NUMBER, 1)


def test_neither_phase_nor_state_of_a_pod_matter_for_the_scan_and_what_is_done_comes_last() -> None:
    at = desk("a30-volcano")
    done = of(A, 1, **{TIME: at.habits.closing[TIME], "volcano.sh/bind-phase": "failed"})
    done["status"] = {"phase": "Failed"}
    second, first = of(A, 1, **{TIME: "1760000002"}), of(A, 1, **{TIME: "1760000001"})
    elsewhere = of(A, 1, **{"volcano.sh/vgpu-node": "n2"})
    pods = [done, second, elsewhere, first]
    assert sorted((p for p in pods if at.habits.waits(at, p)), key=at.habits.since) == [first, second, done]


# -- MIG ---------------------------------------------------------------------------------------------------------


def cut(at: Desk, place: str, memory: int) -> Json:
    return of(f"{at.cards[0].uuid}[{place}],NVIDIA,{memory},0:", 1)


def test_a_part_of_a_group_is_all_that_a_container_is_told() -> None:
    at = desk("a30-volcano-mig", 1)
    _, answer = given(at, cut(at, "group2-1", 12288), NUMBER, 1)
    assert list(answer.injection.envs) == ["NVIDIA_VISIBLE_DEVICES"]
    assert answer.injection.envs["NVIDIA_VISIBLE_DEVICES"].startswith("MIG-")


@pytest.mark.parametrize(("place", "memory"), [("group2-2", 12288), ("1-0", 12288), ("group2-1", 6144)])
def test_what_is_no_part_of_a_group_fails(place: str, memory: int) -> None:
    at = desk("a30-volcano-mig", 1)
    with pytest.raises(AllocateFailed):
        serve(at, cut(at, place, memory), NUMBER, 1)
