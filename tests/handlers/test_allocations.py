"""What became of allocations: a plugin that fails is left alone for a while, and used again when there is reason to."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.config import Settings
from hami_operator.core import protocol
from hami_operator.core.failing import FIRST_SECONDS
from hami_operator.core.schedule import Unschedulable, schedule
from hami_operator.handlers.allocations import ADMISSION_ERROR, retry_due
from hami_operator.handlers.nodes import on_node_event
from hami_operator.handlers.pods import on_pod_event
from hami_operator.live import empty_cluster
from hami_operator.queue import Queue
from hami_operator.world import World
from tests.builders import ALLOCATED, NOW, REGISTER, asking, container, pod_object

CARD = "GPU-a,10,24576,100,NVIDIA-NVIDIA A30,0,true,0,hami-core:"
FAILED_BY_KUBELET = {"phase": "Failed", "reason": ADMISSION_ERROR}


class Scene:
    """One node, a clock, and pods as events show them."""

    def __init__(self) -> None:
        self.now = NOW
        self.world = World("hami-scheduler", empty_cluster(Settings()), Queue(), lambda: self.now)
        self._version = 0
        self.node()

    def node(self, register: str = CARD, allocatable: int = 10) -> None:
        metadata = {"name": "n1", "annotations": {REGISTER: register}}
        status = {"allocatable": {"nvidia.com/gpu": str(allocatable), "pods": "110"}}
        on_node_event(self.world, {"metadata": metadata, "status": status}, gone=False)

    def pod(self, name: str, phase: str = "allocating", status: dict[str, str] | None = None, at: float = NOW) -> None:
        """News of a pod that was bound to the node at this time."""
        self._version += 1
        annotations = {
            protocol.POD_NODE: "n1",
            protocol.BIND_PHASE: phase,
            protocol.BIND_TIME: str(int(at)),
            ALLOCATED: "GPU-a,NVIDIA,1000,0:;",
        }
        metadata: dict[str, Any] = {"uid": name, "resourceVersion": str(self._version), "annotations": annotations}
        obj = pod_object(name, container(gpu=1, mem=1000), metadata=metadata, nodeName="n1")
        on_pod_event(self.world, {**obj, "status": status or {"phase": "Pending"}}, gone=False)

    def gone(self, name: str) -> None:
        on_pod_event(self.world, pod_object(name, metadata={"uid": name}), gone=True)

    def fails(self, name: str) -> None:
        self.pod(name)
        self.pod(name, status=FAILED_BY_KUBELET)

    @property
    def refusal(self) -> str:
        """Why a new pod is not placed; empty when it is."""
        decision = schedule(asking("new", gpu=1, mem=1000), self.world.cluster, self.now)
        return decision.message if isinstance(decision, Unschedulable) else ""


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_pod_that_its_plugin_failed_leaves_the_node_alone_for_ten_seconds(scene: Scene) -> None:
    scene.pod("p")
    assert scene.refusal == ""
    scene.pod("p", phase="failed")
    assert "1 nodes NodeAllocateFailing(n1)" in scene.refusal
    scene.now += FIRST_SECONDS
    retry_due(scene.world)
    assert scene.refusal == ""


def test_a_pod_that_the_kubelet_refused_counts_though_its_plugin_said_nothing(scene: Scene) -> None:
    scene.fails("p")
    assert "NodeAllocateFailing" in scene.refusal


def test_one_pod_is_one_failure_however_often_it_is_told(scene: Scene) -> None:
    scene.pod("p")
    scene.pod("p", phase="failed")
    scene.pod("p", phase="failed", status=FAILED_BY_KUBELET)
    scene.pod("p", phase="failed", status=FAILED_BY_KUBELET)
    assert scene.world.cluster.failing.next_due() == NOW + FIRST_SECONDS


@pytest.mark.parametrize(
    "status", [{"phase": "Failed"}, {"phase": "Failed", "reason": "Evicted"}, {"phase": "Running"}]
)
def test_other_ends_of_pods_are_no_failure_of_the_plugin(scene: Scene, status: dict[str, str]) -> None:
    scene.pod("p")
    scene.pod("p", status=status)
    assert scene.refusal == ""


def test_what_failed_before_we_knew_it_is_no_news(scene: Scene) -> None:
    scene.pod("old", phase="failed", status=FAILED_BY_KUBELET)
    assert scene.refusal == ""


def test_a_failure_after_the_pause_doubles_it(scene: Scene) -> None:
    scene.fails("first")
    scene.gone("first")
    scene.now += FIRST_SECONDS
    retry_due(scene.world)
    scene.fails("second")
    assert scene.world.cluster.failing.next_due() == scene.now + 2 * FIRST_SECONDS


def test_a_success_of_a_pod_bound_after_the_failure_ends_it(scene: Scene) -> None:
    scene.pod("late", at=NOW + 1)
    scene.fails("p")
    assert "NodeAllocateFailing" in scene.refusal
    scene.pod("late", phase="success", at=NOW + 1)
    assert scene.refusal == ""


def test_a_success_of_a_pod_bound_before_the_failure_proves_nothing(scene: Scene) -> None:
    scene.pod("early", at=NOW - 30)
    scene.fails("p")
    scene.pod("early", phase="success", at=NOW - 30)
    assert "NodeAllocateFailing" in scene.refusal


def test_other_cards_in_the_register_end_it(scene: Scene) -> None:
    scene.fails("p")
    scene.node()
    assert "NodeAllocateFailing" in scene.refusal, "a heartbeat is no new registration"
    scene.node(CARD.replace("24576", "20000"))
    assert scene.refusal == ""


def test_a_plugin_that_was_away_and_is_back_ends_it(scene: Scene) -> None:
    scene.fails("p")
    scene.node(allocatable=0)
    scene.node(allocatable=10)
    assert scene.refusal == ""


def test_the_end_of_a_pause_wakes_those_who_wait(scene: Scene) -> None:
    scene.fails("p")
    waiting = pod_object("w", container(gpu=1, mem=1000), metadata={"uid": "w", "resourceVersion": "99"})
    on_pod_event(scene.world, waiting, gone=False)
    pending = scene.world.queue.take(scene.now)
    assert pending is not None
    decision = schedule(pending.pod, scene.world.cluster, scene.now)
    assert isinstance(decision, Unschedulable)
    scene.world.queue.wait("w", decision.waits)
    assert scene.world.queue.take(scene.now) is None
    scene.now += FIRST_SECONDS
    retry_due(scene.world)
    assert scene.world.queue.take(scene.now) is pending
