"""HAMi-WebUI reads what a Binding of ours carries: its rules replayed over allocations of every family it knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hami_operator.config import Settings
from hami_operator.core.binding import binding_annotations, binding_labels
from hami_operator.core.model import Allocation, Share
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW, cluster, container, device, node

from .webui import ALLOCATED, BackendDied, Entry, is_shown, read

NVIDIA = "hami.io/vgpu-devices-allocated"
PROFILES = Settings().devices.profiles()


def bound(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """The pod as the API server has it after our Binding."""
    cards = [device(f"GPU-{index}", index=index) for index in range(4)]
    obj = {
        "metadata": {"name": "p", "namespace": "team-a", "uid": "u"},
        "spec": {"schedulerName": "hami-scheduler", "containers": list(containers), **spec},
    }
    pod, world = read_pod(obj), cluster([node("n1", cards)], profiles=PROFILES)
    decision = schedule(pod, world, NOW)
    assert isinstance(decision, Placement), decision
    entry = world.inventory.get(decision.node)
    assert entry is not None
    annotations = binding_annotations(pod, entry, decision.allocation, world.profiles, NOW)
    metadata = {**obj["metadata"], "annotations": annotations, "labels": binding_labels(decision.node)}
    return {**obj, "metadata": metadata, "status": {"phase": "Running"}}


def entries(pod: dict[str, Any], key: str = NVIDIA) -> list[Entry]:
    return read(pod["metadata"]["annotations"][key], [c["name"] for c in pod["spec"]["containers"]])


def test_a_bound_pod_is_shown_with_its_share() -> None:
    pod = bound(container("main", gpu=1, mem=3000, cores=30))
    assert is_shown(pod)
    assert [(e.container, e.type, e.memory_mib, e.cores) for e in entries(pod)] == [("main", "NVIDIA", 3000, 30)]


def test_a_card_of_the_second_container_alone_is_the_second_containers() -> None:
    pod = bound(container("a"), container("b", gpu=1, mem=3000))
    assert pod["metadata"]["annotations"][NVIDIA].startswith(";")
    assert [entry.container for entry in entries(pod)] == ["b"]


def test_a_container_behind_the_last_card_does_not_end_the_backend() -> None:
    pod = bound(container("a", gpu=1, mem=3000), container("b"), container("c"))
    assert [entry.container for entry in entries(pod)] == ["a"]


def test_several_cards_of_one_container_are_all_there() -> None:
    pod = bound(container("a", gpu=3, mem=3000))
    assert len({entry.uuid for entry in entries(pod)}) == 3


def test_the_rules_would_notice_a_segment_that_is_missing() -> None:
    with pytest.raises(BackendDied):
        read("GPU-1,NVIDIA,3000,30:", ["a", "b", "c"])


def test_the_monitor_finds_the_pod_by_its_label() -> None:
    assert bound(container(gpu=1, mem=1))["metadata"]["labels"] == {"hami.io/vgpu-node": "n1"}
    assert binding_labels("n" * 64) == {}


@pytest.mark.parametrize("key", ALLOCATED)
def test_every_family_it_knows_writes_a_segment_per_container_of_the_type_it_looks_for(key: str) -> None:
    profile = next(profile for profile in PROFILES if profile.allocated_key == key)
    share = Share("card-0", profile.key, 1000, 10)
    obj = {
        "metadata": {"name": "p", "namespace": "d", "uid": "u"},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
    }
    card = device("card-0")
    world = cluster([node("n1")], profiles=PROFILES)
    entry = world.inventory.get("n1")
    assert entry is not None
    entry = replace(entry, devices={profile.key: (card,)})
    allocation = Allocation({profile.key: ((), (share,), ())})
    written = binding_annotations(read_pod(obj), entry, allocation, PROFILES, NOW)
    found = read(written[key], ["a", "b", "c"])
    assert [(e.container, e.type) for e in found] == [("b", ALLOCATED[key])]
