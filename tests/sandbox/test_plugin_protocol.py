"""The plugin's half of the protocol toward its node: what it registers, and whose the lock is."""

from __future__ import annotations

import pytest

from hami_operator.core.model import Device
from hami_operator.core.protocol import decode_devices, format_lock
from hami_operator.sandbox import plugin_protocol as protocol
from hami_operator.sandbox.plugins import HABITS, Desk

NVIDIA = HABITS["nvidia"]


CARDS = (
    Device("GPU-aaaa", 0, 10, 24576, 100, "NVIDIA-NVIDIA A30", numa=0, mode="hami-core"),
    Device("GPU-bbbb", 1, 10, 24576, 100, "NVIDIA-NVIDIA A30", numa=1, healthy=False, mode="hami-core"),
)


def desk(release: str) -> Desk:
    return Desk("n1", NVIDIA, NVIDIA.releases[release], CARDS)


def test_release_2_7_registers_the_comma_form_and_reports_each_time() -> None:
    written = protocol.registration(desk("2.7"), {}, 1760000000.1)
    del written["hami.io/node-nvidia-score"]
    assert written == {
        "hami.io/node-nvidia-register": (
            "GPU-aaaa,10,24576,100,NVIDIA-NVIDIA A30,0,true,0,hami-core:"
            "GPU-bbbb,10,24576,100,NVIDIA-NVIDIA A30,1,false,1,hami-core:"
        ),
        "hami.io/node-handshake": "Reported 2025-10-09 08:53:20.100000 +0000 UTC",
    }
    again = protocol.registration(desk("2.7"), written, 1760000030)
    assert again[NVIDIA.handshake_key] == "Reported 2025-10-09 08:53:50.000000 +0000 UTC"


@pytest.mark.parametrize(("release", "handshake"), [("2.8", True), ("2.9", True), ("2.10", False)])
def test_later_releases_register_json_and_only_what_changed(release: str, handshake: bool) -> None:
    written = protocol.registration(desk(release), {}, 0)
    assert decode_devices("register", written[NVIDIA.register_key]) == CARDS
    assert '"health":false' not in written[NVIDIA.register_key]
    assert (NVIDIA.handshake_key in written) is handshake
    assert protocol.registration(desk(release), written, 30) == {}


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
