"""Taking over from HAMi: its decisions that are not bound yet count for a while, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.config import Settings
from hami_operator.handlers.adoption import LEASE_SECONDS
from hami_operator.handlers.nodes import on_node_event
from hami_operator.handlers.pods import on_pod_event
from hami_operator.live import empty_cluster
from hami_operator.queue import Queue
from hami_operator.world import World

NOW = 1_760_000_000.0
REGISTER = "GPU-a,10,24576,100,NVIDIA-NVIDIA A30,0,true,0,hami-core:"


def world(*, adopt: bool, now: float = NOW) -> World:
    made = World("hami-scheduler", empty_cluster(Settings()), Queue(), lambda: now, adopt=adopt)
    metadata = {"name": "n1", "annotations": {"hami.io/node-nvidia-register": REGISTER}}
    on_node_event(made, {"metadata": metadata, "status": {"allocatable": {"nvidia.com/gpu": "10"}}}, gone=False)
    return made


def pod(**annotations: str) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "20000"}
    return {
        "metadata": {"name": "p", "namespace": "d", "uid": "u", "resourceVersion": "5", "annotations": annotations},
        "spec": {"schedulerName": "hami-scheduler", "containers": [{"name": "c", "resources": {"limits": limits}}]},
    }


DECIDED = {
    "hami.io/vgpu-node": "n1",
    "hami.io/vgpu-time": str(int(NOW) - 10),
    "hami.io/vgpu-devices-allocated": "GPU-a,NVIDIA,20000,0:;",
}


def used(of: World) -> int:
    cards = of.cluster.ledger.usage("n1").cards.get("NVIDIA", {})
    return sum(amounts.memory_mib for amounts in cards.values())


def test_what_hami_decided_is_reserved_and_the_pod_left_to_it() -> None:
    here = world(adopt=True)
    on_pod_event(here, pod(**DECIDED), gone=False)
    assert used(here) == 20000
    assert here.queue.take(NOW) is None
    assert here.queue.next_rest() == int(NOW) - 10 + LEASE_SECONDS
    assert here.cluster.ledger.audit() == []


def test_after_the_lease_it_is_ours_to_decide() -> None:
    here = world(adopt=True)
    on_pod_event(here, pod(**DECIDED), gone=False)
    pending = here.queue.take(NOW + LEASE_SECONDS)
    assert pending is not None
    assert pending.pod.key.name == "p"


def test_when_hami_binds_it_after_all_it_is_counted_once() -> None:
    here = world(adopt=True)
    on_pod_event(here, pod(**DECIDED), gone=False)
    bound = pod(**DECIDED)
    bound["metadata"]["resourceVersion"] = "6"
    bound["spec"]["nodeName"] = "n1"
    on_pod_event(here, bound, gone=False)
    assert used(here) == 20000
    assert len(here.queue) == 0


@pytest.mark.parametrize(
    ("adopt", "annotations"),
    [
        (False, DECIDED),
        (True, {}),
        (True, {**DECIDED, "hami.io/vgpu-time": str(int(NOW - LEASE_SECONDS - 1))}),
        (True, {**DECIDED, "hami.io/vgpu-time": "soon"}),
    ],
    ids=["not taking over", "undecided", "long ago", "no time"],
)
def test_annotations_of_an_unbound_pod_count_for_nothing_else(adopt: bool, annotations: dict[str, str]) -> None:
    here = world(adopt=adopt)
    on_pod_event(here, pod(**annotations), gone=False)
    assert used(here) == 0
    assert here.queue.take(NOW) is not None
