"""What plugins write to their pods, by family: who fails, who is done, and what those who keep locks are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hami_operator.config import Settings
from hami_operator.core import protocol
from hami_operator.core.failing import FIRST_SECONDS
from hami_operator.handlers.allocations import ADMISSION_ERROR, retry_due
from hami_operator.handlers.pods import on_pod_event
from hami_operator.kube.turns import Unserved
from hami_operator.live import empty_cluster
from hami_operator.queue import Queue
from hami_operator.world import World
from tests.builders import NOW, container, pod_object

SETTINGS = Settings(devices={"volcano": {}, "vnpus": {}})
#: One card of each family, and what a container asks for it.
ASKED = {
    "NVIDIA": {"nvidia.com/gpu": 1},
    "Ascend910B3": {"huawei.com/Ascend910B3": 1},
    "volcano-vgpu": {"volcano.sh/vgpu-number": 1},
    "AWSNeuron": {"aws.amazon.com/neuron": 1},
    "Enflame": {"enflame.com/vgcu": 1},
    "Enflame-DRS": {"enflame.com/drs-gcu": 1},
    "Iluvatar": {"iluvatar.ai/vgpu": 1},
}
LISTS = {"NVIDIA": "hami.io/vgpu-devices-to-allocate", "Ascend910B3": "hami.io/Ascend910B3-devices-to-allocate"}
LEFT = "card,x,1,0:;"
FLAGS = {
    "AWSNeuron": "NEURON_ALLOCATED",
    "Enflame": "enflame.com/gcu-assigned",
    "Enflame-DRS": "enflame.com/gcu-assigned",
    "Iluvatar": "iluvatar.ai/gpu-assigned",
}
VOLCANO_PHASE = "volcano.sh/bind-phase"


class Scene:
    """Pods as events show them, and what is told of their locks."""

    def __init__(self) -> None:
        self.now = NOW
        self.ended: list[str] = []
        self.served: list[str] = []
        self.again: list[Unserved] = []
        self.over: list[tuple[str, str]] = []
        self.world = World("hami-scheduler", empty_cluster(SETTINGS), Queue(), lambda: self.now)
        self.world.pod_ended = lambda key: self.ended.append(key.name)
        self.world.pod_served = lambda key: self.served.append(key.name)
        self.world.lock_again = self.again.append
        self.world.lock_over = lambda key, node: self.over.append((key.name, node))
        self._version = 0

    def pod(self, name: str, *families: str, status: dict[str, str] | None = None, **more: Any) -> None:
        """News of a pod on the node n1 with a card of each family; ``written`` are annotations of its plugins."""
        self._version += 1
        record = {
            family: [[[f"{family}-0", family, 1, 0]] if n == at else [] for n in range(len(families))]
            for at, family in enumerate(families)
        }
        annotations = {
            protocol.OWN_ALLOCATION: more.get("record", json.dumps(record)),
            protocol.BIND_PHASE: "allocating",
            protocol.BIND_TIME: str(int(more.get("at", NOW))),
            **more.get("written", {}),
        }
        written = {key: text for key, text in annotations.items() if text is not None}
        metadata = {"uid": name, "resourceVersion": str(self._version), "annotations": written}
        containers = [container(f"c{n}", **ASKED[family]) for n, family in enumerate(families)]
        scheduler = more.get("scheduler", "hami-scheduler")
        obj = pod_object(name, *containers, metadata=metadata, nodeName=more.get("node", "n1"), schedulerName=scheduler)
        on_pod_event(self.world, {**obj, "status": status or {"phase": "Pending"}}, gone=False)

    def failing(self, family: str) -> bool:
        return self.world.cluster.failing.active(("n1", family), self.now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- Volcano's phase ---------------------------------------------------------------------------------------------


def test_a_failure_under_volcanos_key_leaves_the_node_alone_and_gives_up_the_lock(scene: Scene) -> None:
    scene.pod("p", "volcano-vgpu", written={VOLCANO_PHASE: "allocating"})
    assert (scene.failing("volcano-vgpu"), scene.ended) == (False, [])
    scene.pod("p", "volcano-vgpu", written={VOLCANO_PHASE: "failed"})
    assert scene.failing("volcano-vgpu")
    assert not scene.failing("NVIDIA")
    assert scene.ended == ["p"]


def test_a_success_under_volcanos_key_ends_the_pause(scene: Scene) -> None:
    scene.pod("late", "volcano-vgpu", at=NOW + 1)
    scene.pod("p", "volcano-vgpu")
    scene.pod("p", "volcano-vgpu", written={VOLCANO_PHASE: "failed"})
    assert scene.failing("volcano-vgpu")
    scene.pod("late", "volcano-vgpu", at=NOW + 1, written={VOLCANO_PHASE: "success"})
    assert not scene.failing("volcano-vgpu")


def test_hamis_phase_says_nothing_of_volcanos_plugin(scene: Scene) -> None:
    scene.pod("p", "volcano-vgpu")
    scene.pod("p", "volcano-vgpu", written={protocol.BIND_PHASE: "failed"})
    assert not scene.failing("volcano-vgpu")


def test_a_second_failure_under_volcanos_key_doubles_the_pause(scene: Scene) -> None:
    for name in ("first", "second"):
        scene.pod(name, "volcano-vgpu")
        scene.pod(name, "volcano-vgpu", written={VOLCANO_PHASE: "failed"})
        scene.now += FIRST_SECONDS
        retry_due(scene.world)
    assert scene.failing("volcano-vgpu")
    scene.now += FIRST_SECONDS
    assert not scene.failing("volcano-vgpu")


# -- flags of plugins that guess their pod -----------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(FLAGS))
def test_a_pod_whose_plugin_sets_its_flag_is_served(scene: Scene, family: str) -> None:
    scene.pod("p", family, written={FLAGS[family]: "false"})
    assert scene.served == []
    scene.pod("p", family, written={FLAGS[family]: "true"})
    assert scene.served == ["p"]


@pytest.mark.parametrize("family", sorted(FLAGS))
def test_a_pod_that_runs_is_not_guessed_any_more(scene: Scene, family: str) -> None:
    scene.pod("p", family, written={FLAGS[family]: "false"}, status={"phase": "Running"})
    assert scene.served == ["p"]


def test_a_flag_of_another_family_means_nothing(scene: Scene) -> None:
    scene.pod("p", "NVIDIA", written=dict.fromkeys(FLAGS.values(), "true"), status={"phase": "Running"})
    assert scene.served == []


def test_a_flag_ends_the_pause_of_its_family(scene: Scene) -> None:
    refused = {"phase": "Failed", "reason": ADMISSION_ERROR}
    scene.pod("late", "AWSNeuron", at=NOW + 1)
    scene.pod("p", "AWSNeuron")
    scene.pod("p", "AWSNeuron", status=refused)
    assert scene.failing("AWSNeuron")
    scene.pod("late", "AWSNeuron", at=NOW + 1, written={"NEURON_ALLOCATED": "true"})
    assert not scene.failing("AWSNeuron")


# -- two families under one lock ---------------------------------------------------------------------------------

BOTH = ("NVIDIA", "Ascend910B3")
HALF = {protocol.BIND_PHASE: "success", LISTS["NVIDIA"]: ";", LISTS["Ascend910B3"]: LEFT}


@pytest.mark.parametrize("phase", ["allocating", "success"])
def test_a_pod_that_waits_for_two_plugins_of_one_lock_needs_it_again(scene: Scene, phase: str) -> None:
    scene.pod("p", *BOTH, written={**HALF, protocol.BIND_PHASE: phase})
    assert [(u.pod.name, u.node, u.lists) for u in scene.again] == [("p", "n1", tuple(LISTS[f] for f in BOTH))]


ENOUGH = [
    ("nothing is left", BOTH, {**HALF, LISTS["Ascend910B3"]: ";;"}, "Pending", "hami-scheduler"),
    ("it runs", BOTH, HALF, "Running", "hami-scheduler"),
    ("it failed", BOTH, {**HALF, protocol.BIND_PHASE: "failed"}, "Pending", "hami-scheduler"),
    ("one family alone", ("NVIDIA",), HALF, "Pending", "hami-scheduler"),
    ("the other has no lock", ("NVIDIA", "AWSNeuron"), HALF, "Pending", "hami-scheduler"),
    ("of another scheduler", BOTH, HALF, "Pending", "theirs"),
]


@pytest.mark.parametrize(
    ("families", "written", "phase", "scheduler"), [e[1:] for e in ENOUGH], ids=[str(e[0]) for e in ENOUGH]
)
def test_no_other_pod_gets_it_again(
    scene: Scene, families: tuple[str, ...], written: dict[str, str], phase: str, scheduler: str
) -> None:
    scene.pod("p", *families, written=written, status={"phase": phase}, scheduler=scheduler)
    assert scene.again == []


def test_a_pod_that_hami_has_decided_and_not_bound_needs_no_lock_again(scene: Scene) -> None:
    scene.world.adopt = True
    decided = {protocol.POD_NODE: "n1", protocol.POD_TIME: str(int(NOW))}
    lists = {key.replace("to-allocate", "allocated"): LEFT for key in LISTS.values()}
    written = {**HALF, **decided, **lists, protocol.BIND_PHASE: "allocating"}
    scene.pod("p", *BOTH, node="", record=None, written=written)
    record = scene.world.cluster.ledger.record("p")
    assert record is not None
    assert set(record.allocation.families) == set(BOTH)
    assert scene.again == []


def test_when_such_a_pod_runs_its_turns_are_over(scene: Scene) -> None:
    scene.pod("p", *BOTH, written=HALF, status={"phase": "Running"})
    scene.pod("q", "NVIDIA", written=HALF, status={"phase": "Running"})
    assert scene.over == [("p", "n1")]
