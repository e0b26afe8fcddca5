"""Pods that ask for cards of several families: a list per family, with a part for every container."""

from __future__ import annotations

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.binding import binding_annotations
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW, cluster, node
from tests.vendors.binding import pod_of

PROFILES = DevicesSection().profiles()

CARDS = {
    "hami.io/node-nvidia-register": (
        "GPU-aaaa,10,24576,100,NVIDIA-NVIDIA A30,0,true,0,hami-core:"
        "GPU-bbbb,10,24576,100,NVIDIA-NVIDIA A30,0,true,1,hami-core:"
    ),
    "hami.io/node-dcu-register": "DCU-1,4,65536,100,DCU-K100,0,true,0,hami:",
}
GPU = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 1000, "nvidia.com/gpucores": 0}
DCU = {"hygon.com/dcunum": 1, "hygon.com/dcumem": 2000, "hygon.com/dcucores": 60}


@pytest.mark.parametrize(
    ("containers", "gpus", "dcus"),
    [
        pytest.param([GPU, DCU], "GPU-bbbb,NVIDIA,1000,0:;;", ";DCU-1,DCU,2000,60:;", id="EX-07"),
        pytest.param([{**GPU, **DCU}], "GPU-bbbb,NVIDIA,1000,0:;", "DCU-1,DCU,2000,60:;", id="EX-08"),
        pytest.param([DCU, {}, GPU], ";;GPU-bbbb,NVIDIA,1000,0:;", "DCU-1,DCU,2000,60:;;;", id="in the other order"),
    ],
)
def test_each_family_has_a_list_with_a_part_for_every_container(
    containers: list[dict[str, int]], gpus: str, dcus: str
) -> None:
    """HAMi: v2.7.0 pads at the front and lists the first family's cards under the second's key."""
    there = cluster([node("n1", metadata={"annotations": CARDS})], profiles=PROFILES)
    pod = pod_of("p", *containers)
    decision = schedule(pod, there, NOW)
    assert isinstance(decision, Placement), decision
    entry = there.inventory.get("n1")
    assert entry is not None
    written = binding_annotations(pod, entry, decision.allocation, PROFILES, NOW)
    lists = {key: text for key, text in written.items() if "-devices-" in key}
    assert lists == {
        "hami.io/vgpu-devices-to-allocate": gpus,
        "hami.io/vgpu-devices-allocated": gpus,
        "hami.io/dcu-devices-to-allocate": dcus,
        "hami.io/dcu-devices-allocated": dcus,
    }


def test_a_node_without_one_of_the_families_is_refused_for_it() -> None:
    only = {"hami.io/node-nvidia-register": CARDS["hami.io/node-nvidia-register"]}
    there = cluster([node("n1", metadata={"annotations": only})], profiles=PROFILES)
    decision = schedule(pod_of("p", GPU, DCU), there, NOW)
    assert not isinstance(decision, Placement)
    assert "no DCU cards are registered" in decision.message
