"""The composition root: the one place that constructs clients, vendors, sensors and loop; ``lifetime`` runs them."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hami_operator.config import DevicesSection, Settings
from hami_operator.core.model import PodKey
from hami_operator.driver import DRAIN_SECONDS, Actors, Driver
from hami_operator.endpoints import remember
from hami_operator.extender import Extender
from hami_operator.fencing import fence_pending
from hami_operator.handlers.nodes import on_node_event
from hami_operator.handlers.pods import on_pod_event
from hami_operator.handlers.quotas import on_extended_quota_event, on_resource_quota_event
from hami_operator.handlers.volumes import on_claim_event, on_volume_event
from hami_operator.kube import paths
from hami_operator.kube.access import Access
from hami_operator.kube.background import beside
from hami_operator.kube.binder import Binder
from hami_operator.kube.client import Client, server_version
from hami_operator.kube.errors import NotFound, NotLeading
from hami_operator.kube.events import Recorder
from hami_operator.kube.following import Follower, FollowSettings
from hami_operator.kube.leading import Leadership
from hami_operator.kube.leases import Elector, LeaseSettings
from hami_operator.kube.lockbook import LockNews, LockSettings
from hami_operator.kube.nodelock import NodeLocks
from hami_operator.kube.quotastatus import write_status
from hami_operator.kube.reflector import DELETED, Mended, Reflector, ReflectorSettings
from hami_operator.kube.turns import Turns
from hami_operator.live import empty_cluster
from hami_operator.loop import Loop
from hami_operator.orders import lock_marks, objection
from hami_operator.queue import Queue
from hami_operator.quotastatus import QuotaStatus
from hami_operator.reload import DeviceConfig
from hami_operator.serving.history import History
from hami_operator.telemetry import Telemetry
from hami_operator.voice import Voice
from hami_operator.world import Problem, World

log = logging.getLogger(__name__)


class Handler(Protocol):
    """Takes over an object of the cluster."""

    def __call__(self, world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
        """It was added, changed, listed or (``gone``) deleted."""


NODES, PODS, QUOTAS, OWN_QUOTAS = "nodes", "pods", "resourcequotas", "extendedresourcequotas"

#: What we watch, by plural name: where it is listed, and who takes it over.
SENSORS: Mapping[str, tuple[str, Handler]] = {
    NODES: (paths.NODES, on_node_event),
    PODS: (paths.PODS, on_pod_event),
    "persistentvolumeclaims": (paths.CLAIMS, on_claim_event),
    "persistentvolumes": (paths.VOLUMES, on_volume_event),
    QUOTAS: (paths.RESOURCE_QUOTAS, on_resource_quota_event),
    OWN_QUOTAS: (paths.EXTENDED_QUOTAS, on_extended_quota_event),
}

#: What kube-scheduler judges in our place.
VOLUMES = ("persistentvolumeclaims", "persistentvolumes")

#: Seconds before kube-scheduler loses patience with a Binding at which a pod gives up waiting for a node lock.
BEFORE_TIMEOUT_SECONDS = 5.0

NOT_INSTALLED = ': the kind is not installed (kubectl apply -f crds/, or set quota.crd to "off")'

#: Seconds between two looks for a kind that is not installed.
LOOK_SECONDS = 2.0


@dataclass(slots=True)
class App:
    """Everything that lives as long as the process. ``driver`` is there while we lead."""

    settings: Settings
    access: Access
    client: Client
    telemetry: Telemetry
    world: World
    locks: NodeLocks
    turns: Turns
    voice: Voice
    recorder: Recorder
    elector: Leadership
    sensors: dict[str, Reflector]
    device_config: DeviceConfig | None
    history: History
    quota_status: QuotaStatus
    absent: str = ""
    driver: Driver | None = None

    def missing(self) -> list[str]:
        """What must be known before anything is decided and is not known yet."""
        names = [name for name, reflector in self.sensors.items() if not reflector.filled.is_set()]
        return [f"{name}{self.absent}" if name == OWN_QUOTAS else name for name in names]

    async def fill(self) -> None:
        """Take all first lists. Nothing may be placed past a quota that was not seen, so our kind is waited for."""
        await asyncio.gather(*(sensor.fill() for name, sensor in self.sensors.items() if name != OWN_QUOTAS))
        while OWN_QUOTAS in self.sensors and not self.sensors[OWN_QUOTAS].filled.is_set():
            try:
                await self.sensors[OWN_QUOTAS].fill()
            except NotFound:
                if not self.absent:
                    log.warning("nothing is decided: %s%s", OWN_QUOTAS, NOT_INSTALLED)
                self.absent = NOT_INSTALLED
                await asyncio.sleep(LOOK_SECONDS)

    def _quota_sensors(self) -> list[Reflector]:
        return [self.sensors[name] for name in (QUOTAS, OWN_QUOTAS) if name in self.sensors]

    def remarks(self) -> list[str]:
        """What is not as it should be, though we can work."""
        problem = self.device_config.problem if self.device_config is not None else ""
        return [f"{problem}; the last good configuration stays in force"] if problem else []

    async def lead(self) -> None:
        """What the leader does: make sure that nothing of the last one can still land, then decide.

        Raises:
            NotLeading: the lease was lost, if only for a moment.
        """
        log.info("leading: fencing %d pending pods", len(self.world.queue))
        await asyncio.gather(self.sensors[PODS].fill(), *(sensor.fill() for sensor in self._quota_sensors()))
        guarded = self.client.guarded(lambda: self.elector.is_leader)
        await fence_pending(self.world, guarded)
        await self.locks.sweep()
        version = await server_version(self.client)
        patience = _patience(self.settings)
        binder = Binder(guarded, self.locks, version, lambda order: objection(self.world, order), patience)
        self.world.pod_left = binder.abandon
        self.driver = self._driver(binder, guarded)
        try:
            async with beside(self.quota_status.run(functools.partial(write_status, guarded))):
                await self.driver.run()
            raise NotLeading("a write was refused for want of the lease")
        finally:  # without the lease nothing more can be written: what is under way is for the next leader to fence
            driver, self.driver = self.driver, None
            await driver.drain(DRAIN_SECONDS if self.elector.is_leader else 0.0)

    def _driver(self, binder: Binder, guarded: Client) -> Driver:
        actors = Actors(self.world, binder, self.voice, self.telemetry)
        if self.settings.driver == "extender":
            return Extender(actors, guarded, functools.partial(self.sensors[PODS].observe, "MODIFIED"))
        return Loop(actors)

    async def reconfigure(self, devices: DevicesSection) -> None:
        """Put other families in force: everything is read anew by them; what no list tells is carried over."""
        world, old = self.world, self.world.cluster
        world.may_decide.clear()
        try:
            world.cluster = empty_cluster(self.settings.model_copy(update={"devices": devices}))
            for pod in world.queue.pods():
                record = old.ledger.record(pod.key.uid)
                if record is not None and record.assumed:
                    world.cluster.ledger.assume(pod, record.node, record.allocation)
            world.cluster.failing = old.failing
            world.cluster.around.claims.update(old.around.claims)
            self.locks.know(lock_marks(world.cluster.profiles))
            sensors = (self.sensors[NODES], self.sensors[PODS], *self._quota_sensors())
            await asyncio.gather(*(sensor.refill() for sensor in sensors))
        finally:
            world.may_decide.set()
        world.queue.wake_all()

    def complain(self, problem: str) -> None:
        """A configuration file can't be used: tell it where people look, on our lease."""
        lease = self.settings.leader
        text = f"{problem}; the last good configuration stays in force"
        self.world.report(Problem("Lease", lease.name, lease.namespace, "", "ConfigurationUnusable", text))

    def mended(self, resource: str) -> Callable[[Mended], None]:
        """What to do after a resync: say what it had to put right, check ourselves, free locks nobody holds."""

        def report(mended: Mended) -> None:
            self.history.heard(resource, self.world.now())
            names = (*mended.missed, *mended.ghosts)
            if names:
                self.telemetry.resync_mended.labels(resource).inc(len(names))
                log.warning("resync of %s mended %d: %s", resource, len(names), ", ".join(names[:10]))
            ledger = self.world.cluster.ledger
            ledger.expire_tombstones(self.world.now())
            differences = ledger.audit()
            self.telemetry.audit_differences.set(len(differences))
            for line in differences:
                log.error("audit: %s", line)

        return report

    async def tend(self) -> None:
        """Now and then: remove locks that nobody holds, and tell every waiting pod what keeps it now."""
        while True:
            await asyncio.sleep(self.settings.resync_seconds)
            if self.elector.is_leader:
                await self.locks.sweep()
                self.world.queue.wake_all()


def build(settings: Settings, access: Access, client: Client, telemetry: Telemetry) -> App:
    """Put the parts together; nothing starts yet."""
    world = World(settings.scheduler_name, empty_cluster(settings), Queue(), time.time, adopt=settings.adopt)
    elector = _elector(settings, client, telemetry)
    guarded = client.guarded(lambda: elector.is_leader)
    recorder, history, status = Recorder(client), History(), QuotaStatus(world)
    voice = Voice(recorder, guarded)
    locks = _locks(settings, guarded, telemetry, voice)
    locks.know(lock_marks(world.cluster.profiles))
    turns = Turns(guarded, locks, _patience(settings))
    _connect(world, locks, turns)
    recorder.urgent, world.report, world.own_quota_seen = locks.at_work, voice.problem, status.seen
    sensors = {name: _sensor(client, name, world, history, settings.resync_seconds) for name in SENSORS}
    unwatched = [OWN_QUOTAS] if settings.quota.crd == "off" else []
    for name in (*unwatched, *(VOLUMES if settings.driver == "extender" else ())):
        del sensors[name]
    path = settings.device_config_file
    config = DeviceConfig(path, settings.devices) if path is not None else None
    return App(
        settings=settings,
        access=access,
        client=client,
        telemetry=telemetry,
        world=world,
        locks=locks,
        turns=turns,
        voice=voice,
        recorder=recorder,
        elector=elector,
        sensors=sensors,
        device_config=config,
        history=history,
        quota_status=status,
    )


def _patience(settings: Settings) -> float:
    """Seconds that a pod waits for a node lock while it is bound."""
    patience = settings.node_lock.wait_seconds
    if settings.driver == "extender":
        return min(patience, settings.extender.timeout_seconds - BEFORE_TIMEOUT_SECONDS)
    return patience


def _elector(settings: Settings, client: Client, telemetry: Telemetry) -> Leadership:
    lease = settings.leader
    if settings.driver == "extender":
        look_s, trust_s = lease.retry_seconds / 2, lease.renew_deadline_seconds / 2
        follow = FollowSettings(lease.namespace, lease.name, look_s=look_s, trust_s=trust_s)
        return Follower(client, follow, changed=telemetry.leading)
    terms = LeaseSettings(
        lease.namespace,
        lease.name,
        duration_s=lease.lease_seconds,
        renew_deadline_s=lease.renew_deadline_seconds,
        retry_s=lease.retry_seconds,
    )
    return Elector(client, terms, changed=telemetry.leading)


def _locks(settings: Settings, guarded: Client, telemetry: Telemetry, voice: Voice) -> NodeLocks:
    def tell(news: LockNews) -> None:
        telemetry.lock(news)
        voice.lock(news)

    return NodeLocks(guarded, LockSettings(settings.scheduler_name, settings.node_lock.expire_seconds), tell)


def _connect(world: World, locks: NodeLocks, turns: Turns) -> None:
    """What news of nodes and pods does to the locks."""

    def pod_ended(pod: PodKey) -> None:
        locks.pod_ended(pod)
        turns.forget(pod)

    world.node_seen, world.node_gone, world.busy = locks.node_seen, locks.node_gone, locks.busy
    world.pod_ended, world.pod_served = pod_ended, locks.pod_ended
    world.lock_again, world.lock_over = turns.again, turns.over


def _sensor(client: Client, name: str, world: World, history: History, resync_s: float) -> Reflector:
    path, handler = SENSORS[name]

    def take(kind: str, obj: Mapping[str, Any]) -> None:
        handler(world, obj, gone=kind == DELETED)
        remember(history, world, name, obj, gone=kind == DELETED)

    return Reflector(client, path, take, ReflectorSettings(resync_s=resync_s))
