"""The plugin's half of the protocol, worked example EX-15 of HAMi v2.7.0 first."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import ContainerKind, Device, Share
from hami_operator.core.protocol import decode_devices, format_lock
from hami_operator.sandbox import plugin_protocol as protocol
from hami_operator.sandbox.plugins import HABITS

NVIDIA = HABITS["nvidia"]
KEY = NVIDIA.to_allocate_key


def consume(text: str, release: str) -> list[str]:
    """What is left after each Allocate call, until no segment has cards."""
    texts = []
    while (segment := protocol.take_segment(KEY, text, NVIDIA.releases[release])) is not None:
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
    segment = protocol.take_segment(KEY, "GPU-b,NVIDIA,10,20:GPU-a,NVIDIA,11,21:;", NVIDIA.releases["2.7"])
    assert segment is not None
    assert segment.shares == (Share("GPU-b", "NVIDIA", 10, 20), Share("GPU-a", "NVIDIA", 11, 21))


def test_a_malformed_text_is_an_error_that_names_the_annotation() -> None:
    with pytest.raises(ProtocolError, match=KEY):
        protocol.take_segment(KEY, "GPU-a,NVIDIA,x,1:;", NVIDIA.releases["2.7"])


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
    assert protocol.more_follow(text, NVIDIA.releases[release]) is more


CARDS = (
    Device("GPU-aaaa", 0, 10, 24576, 100, "NVIDIA-NVIDIA A30", numa=0, mode="hami-core"),
    Device("GPU-bbbb", 1, 10, 24576, 100, "NVIDIA-NVIDIA A30", numa=1, healthy=False, mode="hami-core"),
)


def test_release_2_7_registers_the_comma_form_and_reports_each_time() -> None:
    release = NVIDIA.releases["2.7"]
    written = protocol.registration(NVIDIA, release, CARDS, None, 1760000000.1)
    assert written == {
        "hami.io/node-nvidia-register": (
            "GPU-aaaa,10,24576,100,NVIDIA-NVIDIA A30,0,true,0,hami-core:"
            "GPU-bbbb,10,24576,100,NVIDIA-NVIDIA A30,1,false,1,hami-core:"
        ),
        "hami.io/node-handshake": "Reported 2025-10-09 08:53:20.100000 +0000 UTC",
    }
    again = protocol.registration(NVIDIA, release, CARDS, written[NVIDIA.register_key], 1760000030)
    assert again[NVIDIA.handshake_key] == "Reported 2025-10-09 08:53:50.000000 +0000 UTC"


@pytest.mark.parametrize(("release", "handshake"), [("2.8", True), ("2.9", True), ("2.10", False)])
def test_later_releases_register_json_and_only_what_changed(release: str, handshake: bool) -> None:
    written = protocol.registration(NVIDIA, NVIDIA.releases[release], CARDS, None, 0)
    assert decode_devices("register", written[NVIDIA.register_key]) == CARDS
    assert '"health":false' not in written[NVIDIA.register_key]
    assert (NVIDIA.handshake_key in written) is handshake
    assert protocol.registration(NVIDIA, NVIDIA.releases[release], CARDS, written[NVIDIA.register_key], 30) == {}


@pytest.mark.parametrize(
    ("lock", "holder"),
    [
        (format_lock(1760000000, "default", "train-0"), ("default", "train-0")),
        ("2025-10-09T08:53:20Z", None),
        ("garbage,a,b", None),
        (None, None),
    ],
)
def test_the_lock_names_its_pod_or_nobody(lock: str | None, holder: tuple[str, str] | None) -> None:
    annotations = {} if lock is None else {"hami.io/mutex.lock": lock}
    assert protocol.lock_holder({"metadata": {"annotations": annotations}}) == holder


def bound_pod(**changes: str) -> dict[str, Any]:
    annotations = {"hami.io/vgpu-node": "n1", "hami.io/bind-time": "1760000000", "hami.io/bind-phase": "allocating"}
    return {"metadata": {"annotations": {**annotations, **changes}}, "status": {"phase": "Pending"}}


def test_the_scan_takes_the_first_pod_that_is_allocating_here() -> None:
    elsewhere = bound_pod(**{"hami.io/vgpu-node": "n2"})
    done = bound_pod(**{"hami.io/bind-phase": "success"})
    running = {**bound_pod(), "status": {"phase": "Running"}}
    wanted = bound_pod()
    pods = [elsewhere, done, running, wanted, bound_pod()]
    assert protocol.pending_pod(pods, "n1", NVIDIA.releases["2.7"]) is wanted
    assert protocol.pending_pod(pods[:3], "n1", NVIDIA.releases["2.7"]) is None


def test_release_2_10_takes_up_a_pending_pod_whose_phase_is_success() -> None:
    done = bound_pod(**{"hami.io/bind-phase": "success"})
    assert protocol.pending_pod([done], "n1", NVIDIA.releases["2.10"]) is done


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
    place = protocol.next_place(pod_of(init, app, allocated, left), NVIDIA)
    assert place is not None
    assert (place.container, place.kind) == (container, kind)


@pytest.mark.parametrize("left", [A + A, "GPU-a,x:;", ";"])
def test_lists_that_do_not_belong_together_name_no_container(left: str) -> None:
    assert protocol.next_place(pod_of([], ["x"], A, left), NVIDIA) is None


def test_release_2_7_takes_the_first_container_for_the_one_it_serves() -> None:
    pod = pod_of(["i"], ["x", "y"], ";;" + A, ";;" + A)
    old = protocol.take_segment(KEY, ";;" + A, NVIDIA.releases["2.7"])
    new = protocol.take_segment(KEY, ";;" + A, NVIDIA.releases["2.9"])
    assert old is not None
    assert new is not None
    assert protocol.container_name(pod, old.index, NVIDIA.releases["2.7"]) == "x"
    assert protocol.container_name(pod, new.index, NVIDIA.releases["2.9"]) == "y"


def test_init_containers_are_done_when_each_has_ended() -> None:
    pod = pod_of(["i", "j"], ["x"], "", "")
    assert not protocol.init_done(pod)
    pod["status"] = {"initContainerStatuses": [{"name": "i", "state": {"terminated": {}}}]}
    assert not protocol.init_done(pod)
    pod["status"]["initContainerStatuses"].append({"name": "j", "state": {"terminated": {}}})
    assert protocol.init_done(pod)
