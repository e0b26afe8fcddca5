"""The plugin's half of the protocol, worked example EX-15 of HAMi v2.7.0 first."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import ContainerKind, Share
from hami_operator.sandbox.plugins import HABITS, Desk, lists

NVIDIA = HABITS["nvidia"]
KEY = NVIDIA.to_allocate_key


def consume(text: str, release: str) -> list[str]:
    """What is left after each Allocate call, until no segment has cards."""
    texts = []
    while (segment := lists.take_segment(KEY, text, NVIDIA.releases[release])) is not None:
        text = segment.rest
        texts.append(text)
    return texts


@pytest.mark.parametrize(
    ("text", "release", "expected"),
    [
        ("GPU-a,NVIDIA,1,1:;GPU-b,NVIDIA,2,2:;", "2.7", [";GPU-b,NVIDIA,2,2:;", ";"]),
        ("GPU-a,NVIDIA,1,1:;GPU-b,NVIDIA,2,2:;", "2.9", [";GPU-b,NVIDIA,2,2:;;", ";;;;"]),
        (";GPU-a,NVIDIA,1,1:;;", "2.7", [";"]),
        (";GPU-a,NVIDIA,1,1:;;", "2.10", [";;;;"]),
        (";;", "2.7", []),
        ("", "2.9", []),
    ],
)
def test_segments_are_consumed_as_each_release_does(text: str, release: str, expected: list[str]) -> None:
    assert consume(text, release) == expected


def test_a_segment_with_two_cards_is_one_call() -> None:
    segment = lists.take_segment(KEY, "GPU-b,NVIDIA,10,20:GPU-a,NVIDIA,11,21:;", NVIDIA.releases["2.7"])
    assert segment is not None
    assert segment.shares == (Share("GPU-b", "NVIDIA", 10, 20), Share("GPU-a", "NVIDIA", 11, 21))


def test_a_malformed_text_is_an_error_that_names_the_annotation() -> None:
    with pytest.raises(ProtocolError, match=KEY):
        lists.take_segment(KEY, "GPU-a,NVIDIA,x,1:;", NVIDIA.releases["2.7"])


@pytest.mark.parametrize(
    ("text", "release", "more"),
    [
        (";GPU-b,NVIDIA,2,2:;", "2.7", True),
        (";", "2.7", False),
        (";;;;", "2.10", False),
        (";GPU-b,NVIDIA,2,2:;", "2.10", True),
        (";card-b,NVIDIA,2,2:;", "2.7", False),  # HAMi 2.7 looks for GPU, so ids must hold it
    ],
)
def test_more_containers_follow_while_the_text_holds_the_word(text: str, release: str, more: bool) -> None:
    assert lists.more_follow(text, NVIDIA.releases[release]) is more


def desk(release: str) -> Desk:
    return Desk("n1", NVIDIA, NVIDIA.releases[release], ())


def bound_pod(**changes: str) -> dict[str, Any]:
    annotations = {"hami.io/vgpu-node": "n1", "hami.io/bind-time": "1760000000", "hami.io/bind-phase": "allocating"}
    return {"metadata": {"annotations": {**annotations, **changes}}, "status": {"phase": "Pending"}}


def test_the_scan_takes_the_first_pod_that_is_allocating_here() -> None:
    elsewhere = bound_pod(**{"hami.io/vgpu-node": "n2"})
    done = bound_pod(**{"hami.io/bind-phase": "success"})
    running = {**bound_pod(), "status": {"phase": "Running"}}
    wanted = bound_pod()
    pods = [elsewhere, done, running, wanted, bound_pod()]
    assert [pod for pod in pods if lists.waits(desk("2.7"), pod)][:1] == [wanted]
    assert not any(lists.waits(desk("2.7"), pod) for pod in pods[:3])


def test_release_2_10_takes_up_a_pending_pod_whose_phase_is_success() -> None:
    done = bound_pod(**{"hami.io/bind-phase": "success"})
    assert lists.waits(desk("2.10"), done)
    assert not lists.waits(desk("2.9"), done)


def pod_of(init: list[str], app: list[str], allocated: str, left: str) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {NVIDIA.allocated_key: allocated, KEY: left}},
        "spec": {"initContainers": [{"name": n} for n in init], "containers": [{"name": n} for n in app]},
    }


A, B = "GPU-a,NVIDIA,1,1:;", "GPU-b,NVIDIA,2,2:;"


@pytest.mark.parametrize(
    ("init", "app", "allocated", "left", "container", "kind"),
    [
        ([], ["x", "y"], A + B, A + B, "x", ContainerKind.APP),
        ([], ["x", "y"], A + B, ";" + B, "y", ContainerKind.APP),
        (["i"], ["x", "y"], A + ";" + B, A + ";" + B, "i", ContainerKind.INIT),
        (["i"], ["x", "y"], A + ";" + B, ";" + B, "y", ContainerKind.APP),
        (["i"], ["x"], A, A, "x", ContainerKind.APP),  # segments of app containers alone
    ],
)
def test_the_checker_knows_the_true_container(
    init: list[str], app: list[str], allocated: str, left: str, container: str, kind: ContainerKind
) -> None:
    place = lists.next_place(pod_of(init, app, allocated, left), NVIDIA)
    assert place is not None
    assert (place.container, place.kind) == (container, kind)


@pytest.mark.parametrize("left", [A + A, "GPU-a,x:;", ";"])
def test_lists_that_do_not_belong_together_name_no_container(left: str) -> None:
    assert lists.next_place(pod_of([], ["x"], A, left), NVIDIA) is None


def test_release_2_7_takes_the_first_container_for_the_one_it_serves() -> None:
    pod = pod_of(["i"], ["x", "y"], ";;" + A, ";;" + A)
    old = lists.take_segment(KEY, ";;" + A, NVIDIA.releases["2.7"])
    new = lists.take_segment(KEY, ";;" + A, NVIDIA.releases["2.9"])
    assert old is not None
    assert new is not None
    assert lists.container_name(pod, old.index, NVIDIA.releases["2.7"]) == "x"
    assert lists.container_name(pod, new.index, NVIDIA.releases["2.9"]) == "y"
