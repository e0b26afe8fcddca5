"""A world to be looked at: nodes, pods that hold something, pods that wait, quotas; and its page, served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from hami_operator.config import MetricsSection, Settings
from hami_operator.core import protocol
from hami_operator.core.model import Allocation, Device, Pod, Share
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.quota import OWN_KIND, read_quota
from hami_operator.core.schedule import Unschedulable, schedule
from hami_operator.diary import Decided
from hami_operator.live import empty_cluster
from hami_operator.queue import Queue
from hami_operator.serving import health
from hami_operator.serving.metrics.exposition import Exposition, exposition
from hami_operator.serving.origins import settings_shown
from hami_operator.serving.server import Bounds, Serving, serve
from hami_operator.serving.sight import LeaderView, LocksView, NodeLockView, Sight
from hami_operator.serving.web.routes import routes
from hami_operator.world import World
from tests.builders import NOW, node_object

REGISTER = "hami.io/node-nvidia-register"


@dataclass
class Stage:
    """A sight of a world, filled with short words."""

    sight: Sight
    settings: Settings

    @classmethod
    def empty(cls, now: Callable[[], float] = lambda: NOW, **settings: Any) -> Stage:
        read = Settings(**settings)
        world = World(read.scheduler_name, empty_cluster(read), Queue(), now)
        leader = LeaderView("hami-operator-0", leads=True)
        return cls(Sight(world, settings=settings_shown(read, {}), leader=lambda: leader), read)

    @property
    def world(self) -> World:
        return self.sight.world

    def node(self, name: str, *devices: Device, **parts: Any) -> None:
        obj = node_object(name, devices, **parts)
        self.world.cluster.inventory.update(read_node(obj))
        entry = self.world.cluster.inventory.get(name)
        assert entry is not None
        self.sight.history.node_seen(entry, self.world.cluster.profiles, self.world.now())

    def running(
        self, name: str, node: str, *shares: Share, family: str = "NVIDIA", phase: str = "success", **metadata: Any
    ) -> Pod:
        """A pod whose only container holds these shares, by our own record."""
        namespace, _, short = name.rpartition("/")
        allocation = protocol.encode_allocation(Allocation({family: (shares,)}))
        annotations = {
            protocol.POD_NODE: node,
            protocol.OWN_ALLOCATION: allocation,
            protocol.BIND_PHASE: phase,
            protocol.BIND_TIME: str(int(NOW - 7500)),
            **metadata.pop("annotations", {}),
        }
        counts = {profile.key: profile.names.count for profile in self.world.cluster.profiles}
        obj = {
            "metadata": {
                "name": short,
                "namespace": namespace or "default",
                "uid": name,
                "annotations": annotations,
                **metadata,
            },
            "spec": {
                "nodeName": node,
                "containers": [{"name": "main", "resources": {"limits": {counts[family]: str(len(shares))}}}],
            },
            "status": {"phase": "Running"},
        }
        pod = read_pod(obj)
        self.world.cluster.ledger.observe(pod, NOW)
        self.sight.history.pod_seen(obj, gone=False)
        return pod

    def pending(self, name: str, *, priority: int = 0, **amounts: Any) -> Pod:
        """A pod that was decided and waits (or fits, and is left ready)."""
        namespace, _, short = name.rpartition("/")
        names = {"gpu": "nvidia.com/gpu", "mem": "nvidia.com/gpumem", "cores": "nvidia.com/gpucores"}
        limits = {names.get(key, key): str(value) for key, value in amounts.items()}
        pod = read_pod(
            {
                "metadata": {
                    "name": short,
                    "namespace": namespace or "default",
                    "uid": name,
                    "creationTimestamp": "2025-10-09T08:00:00Z",
                },
                "spec": {
                    "schedulerName": "hami-scheduler",
                    "priority": priority,
                    "containers": [{"name": "main", "resources": {"limits": limits}}],
                },
            }
        )
        self.world.queue.put(pod)
        self.decide(pod)
        return pod

    def decide(self, pod: Pod) -> None:
        world, uid = self.world, pod.key.uid
        decision = schedule(pod, world.cluster, NOW)
        if isinstance(decision, Unschedulable):
            reasons = {reason.value: nodes for reason, nodes in decision.kept.reasons().items()}
            nodes, tries = len(world.cluster.inventory), world.diary.tries(uid) + 1
            world.diary.note(uid, Decided(NOW - 12, "", decision.message, 0, nodes, reasons, tries))
            taken = world.queue.take(NOW)
            assert taken is not None
            world.queue.wait(uid, decision.waits)

    def quota(self, namespace: str, name: str = "quota", **hard: object) -> None:
        names = {
            "gpu": "limits.nvidia.com/gpu",
            "mem": "limits.nvidia.com/gpumem",
            "cores": "limits.nvidia.com/gpucores",
        }
        body = {
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"hard": {names.get(key, key): str(value) for key, value in hard.items()}},
        }
        book = self.world.cluster.quotas
        book.put(read_quota(body, OWN_KIND, book.keys))

    def exposition(self, **metrics: Any) -> Exposition:
        return exposition(self.sight, CollectorRegistry(), MetricsSection(**metrics))

    def application(self) -> web.Application:
        app = health.application(self.exposition().text, self.sight.missing, self.sight.remarks)
        app.add_routes(routes(self.sight))
        return app


def card(node: str, index: int, **fields: Any) -> Device:
    """An A30 unless said otherwise."""
    usual = Device(f"GPU-{node}-{index}", index, 10, 24576, 100, "NVIDIA-NVIDIA A30", index // 2, mode="hami-core")
    return replace(usual, **fields)


def share(device: Device, memory_mib: int, cores: int = 0) -> Share:
    return Share(device.uuid, "NVIDIA", memory_mib, cores)


def register(cards: list[Device]) -> Mapping[str, str]:
    return {REGISTER: protocol.encode_devices_text(cards)}


def busy() -> Stage:
    """Three sorts of nodes, teams with quotas, pods that wait; everything that a view has words for."""
    stage = Stage.empty()
    for number in range(3):
        cards = [card(f"a30-{number}", index) for index in range(4)]
        stage.node(f"a30-{number}", *cards)
        for index, device in enumerate(cards[: 3 - number]):
            stage.running(f"team-a/trainer-{number}-{index}", f"a30-{number}", share(device, 12288, 50))
            stage.running(f"team-b/notebook-{number}-{index}", f"a30-{number}", share(device, 4096, 10))
            if index == 0:
                stage.running(f"serving/embedder-{number}", f"a30-{number}", share(device, 6000, 30))
    big = [
        card("h100-0", index, type="NVIDIA-NVIDIA H100 80GB HBM3", memory_mib=81559, numa=index // 4)
        for index in range(8)
    ]
    big[5] = replace(big[5], healthy=False)
    stage.node("h100-0", *big, metadata={"annotations": {"hami.io/device-cordon": big[7].uuid}})
    stage.running("team-a/pretrain-0", "h100-0", *(share(device, 81559, 100) for device in big[:4]))
    for index in range(9):
        stage.running(
            f"serving/chat-{index}", "h100-0", share(big[4], 9000, 11), phase="allocating" if index > 7 else "success"
        )
    lost = [card("t4-0", index, type="NVIDIA-Tesla T4", memory_mib=15360) for index in range(2)]
    stage.node("t4-0", *lost, spec={"unschedulable": True})
    stage.quota("team-a", "compute", gpu=20, mem=420000, cores=900)
    stage.quota("team-b", "compute", gpu=4, mem=30000)
    stage.pending("team-a/pretrain-1", gpu=8, mem=81559, cores=100, priority=100)
    stage.pending("team-b/notebook-9", gpu=1, mem=40000)
    stage.pending("serving/chat-9", gpu=4, mem=80000)
    stage.sight.locks = lambda: LocksView([NodeLockView("a30-1", "team-b/notebook-9", NOW - 190)], {"a30-1": 2})
    stage.sight.leader = lambda: LeaderView("hami-operator-7d4c9_5f0e", leads=True)
    for resource, age in (("nodes", 41), ("pods", 0.4), ("extendedresourcequotas", 130)):
        stage.sight.history.heard(resource, NOW - age)
    return stage


def large(nodes: int, cards: int = 8) -> Stage:
    """Many nodes of eight cards, each card shared by two pods."""
    stage = Stage.empty()
    for number in range(nodes):
        name = f"node-{number:04}"
        devices = [card(name, index, type="NVIDIA-NVIDIA A100-SXM4-80GB", memory_mib=81920) for index in range(cards)]
        stage.node(name, *devices)
        for index, device in enumerate(devices):
            stage.running(f"team-{number % 20}/a-{number}-{index}", name, share(device, 20000, 20))
            stage.running(f"team-{number % 20}/b-{number}-{index}", name, share(device, 30000, 30))
    return stage


@contextlib.asynccontextmanager
async def served(stage: Stage, bounds: Bounds | None = None) -> AsyncIterator[str]:
    """The address of the stage's page."""
    serving: Serving = await serve(stage.application(), "127.0.0.1", 0, bounds)
    try:
        yield f"http://127.0.0.1:{serving.port}"
    finally:
        await serving.cleanup()


async def _serve_for_ever(stage: Stage) -> None:
    serving = await serve(stage.application(), "127.0.0.1", 18080)
    print(serving.port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_for_ever(busy()))
