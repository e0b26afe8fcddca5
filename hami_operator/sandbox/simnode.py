"""One simulated node: a kubelet in a few lines around the same plugin code that a hollow node's process runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import aiohttp

from .allocation import Plugin, PluginNode
from .api import STRATEGIC, Api, node_path, pod_path
from .errors import AllocateFailed, ApiError, BadSpec
from .faults import Faults
from .journal import Journal
from .plugin_protocol import alive, annotations_of, init_done
from .podstatus import (
    RUN_SECONDS,
    Running,
    begin,
    device_ids_held,
    device_requests,
    end,
    failed,
    micro_stamp,
    node_object,
    pod_status,
    ready_condition,
)

log = logging.getLogger(__name__)

Json = dict[str, Any]

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

#: Seconds between two renewals of a node's lease; the node controller misses a node after 50.
LEASE_S = 20.0


class SimulatedNode:
    """Plays the kubelet and the plugin of one node. All its pods come to it through ``see`` and ``forget``."""

    def __init__(self, node: PluginNode, api: Api, journal: Journal) -> None:
        self.node = node
        self._api = api
        self._pods: dict[str, Json] = {}
        self._running: dict[str, dict[str, Running]] = {}
        self._admitted: set[str] = set()
        self._admission = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._on = True
        self.plugin = Plugin(node, api, journal, self._live_pods)

    async def _live_pods(self) -> Mapping[str, bool]:
        return {uid: init_done(pod) for uid, pod in self._pods.items() if alive(pod)}

    # -- the node --------------------------------------------------------------------------------------------

    @property
    def _device_ids(self) -> int:
        """Device ids the kubelet can give out: those of healthy cards, none while the plugin is away."""
        return 0 if self.plugin.faults.dead else sum(card.slots for card in self.plugin.cards if card.healthy)

    async def register(self) -> None:
        """Create the node and its lease; one that exists already is taken over."""
        name, now = self.node.name, time.time()
        lease = {"metadata": {"name": name}, "spec": {"holderIdentity": name, "leaseDurationSeconds": 40}}
        for path, body in (
            ("/api/v1/nodes", node_object(name, {self.node.habits.resource: self._device_ids}, now)),
            (LEASES, lease),
        ):
            try:
                await self._api.post(path, body)
            except ApiError as error:
                if error.status != 409:
                    raise
        await self._beat()
        self._start(self._keep_beating())
        self._start(self._keep_registered())

    async def _beat(self) -> None:
        await self._api.patch(f"{LEASES}/{self.node.name}", {"spec": {"renewTime": micro_stamp(time.time())}})

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S)
            if self._on:
                try:
                    await self._beat()
                except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                    log.warning("node %s: lease not renewed: %s", self.node.name, error)

    async def _keep_registered(self) -> None:
        """The plugin's registration, as long as neither plugin nor node are away."""
        await self.plugin.keep_registered(lambda: self._on and not self.plugin.faults.dead)

    async def set_faults(self, faults: Faults) -> None:
        """Take over faults and report the device ids that are left."""
        before = self._device_ids
        await self.plugin.set_faults(faults)
        if self._device_ids != before:
            await self._report({"allocatable": {self.node.habits.resource: str(self._device_ids)}})

    async def set_power(self, power: str) -> None:
        """``off``: nothing is done or reported any more; ``on``: the kubelet is back and looks at its pods again."""
        if power not in ("on", "off"):
            raise BadSpec(f"power {power!r} is not allowed: on or off")
        self._on = power == "on"
        if self._on:
            await self._beat()
            await self._report({"conditions": [ready_condition("True", time.time())]})
            for pod in list(self._pods.values()):
                self._attend(pod)

    async def _report(self, status: Json) -> None:
        await self._api.patch(f"{node_path(self.node.name)}/status", {"status": status}, STRATEGIC)

    def stop(self) -> None:
        """End every task of this node."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("node %s: %s", self.node.name, error, exc_info=error)

    # -- its pods --------------------------------------------------------------------------------------------

    def see(self, pod: Json) -> None:
        """A pod bound to this node, as a list or a watch has it; older news than what is known are left aside."""
        known = self._pods.get(pod["metadata"]["uid"])
        if known is None or _version(pod) > _version(known):
            self._pods[pod["metadata"]["uid"]] = pod
            if self._on:
                self._attend(pod)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._pods.pop(uid, None)
        self._running.pop(uid, None)
        self._admitted.discard(uid)

    @property
    def uids(self) -> set[str]:
        """The pods it knows."""
        return set(self._pods)

    def _attend(self, pod: Json) -> None:
        uid, phase = pod["metadata"]["uid"], pod.get("status", {}).get("phase")
        if "deletionTimestamp" in pod["metadata"]:
            self._start(self._delete(pod))
        elif uid in self._admitted:
            return
        elif phase == "Pending":
            self._admitted.add(uid)
            self._start(self._admit(uid))
        elif phase == "Running":  # from before this process began
            self._admitted.add(uid)
            self._running[uid] = begin(pod, time.time())

    async def _delete(self, pod: Json) -> None:
        try:
            await self._api.delete(_path(pod), pod["metadata"]["uid"])
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def _admit(self, uid: str) -> None:
        async with self._admission:  # the kubelet admits one pod after another
            pod = self._pods.get(uid)
            if pod is None:
                return
            running = begin(pod, time.time())
            try:
                await self._allocate(pod, running)
            except AllocateFailed as error:
                text = f"Pod was rejected: Allocate failed due to {error}, which is unexpected"
                await self._write(pod, failed("UnexpectedAdmissionError", text))
                return
            self._running[uid] = running
            await self._write(pod, pod_status(pod, running, time.time()))
        self._end_in_time(pod)

    async def _allocate(self, pod: Json, running: Mapping[str, Running]) -> None:
        resource = self.node.habits.resource
        wanted = device_ids_held(pod, resource)
        if not wanted:
            return
        others = (p for uid, p in self._pods.items() if uid in self._running and alive(p))
        free = self._device_ids - sum(device_ids_held(other, resource) for other in others)
        if wanted > free:
            raise AllocateFailed(
                f"requested number of devices unavailable for {resource}. "
                f"Requested: {wanted}, Available: {max(free, 0)}"
            )
        for place, count in device_requests(pod, resource):
            injection = await self.plugin.allocate(count)
            running[place.container].envs = injection.envs
            running[place.container].mounts = [asdict(mount) for mount in injection.mounts]

    async def _write(self, pod: Json, status: Json) -> None:
        """Report a pod's status; a pod that is gone by now is left alone."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        try:
            answer = await self._api.patch(f"{_path(pod)}/status", body, STRATEGIC)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        else:
            self.see(answer)

    def _end_in_time(self, pod: Json) -> None:
        seconds = annotations_of(pod).get(RUN_SECONDS)
        if seconds is not None:
            self._start(self._after(float(seconds), self._end_all(pod)))
        deadline = pod["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            late = failed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            self._start(self._after(float(deadline), self._write_if_alive(pod, late)))

    async def _after(self, seconds: float, work: Any) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            work.close()
            raise
        await work

    async def _write_if_alive(self, pod: Json, status: Json) -> None:
        known = self._pods.get(pod["metadata"]["uid"])
        if known is not None and alive(known):
            await self._write(known, status)

    async def _end_all(self, pod: Json) -> None:
        for name in list(self._running.get(pod["metadata"]["uid"], {})):
            await self.end(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}", name, 0)

    async def end(self, pod_name: str, container: str, code: int) -> bool:
        """End a running container; whether there was one."""
        for uid, pod in self._pods.items():
            if f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" != pod_name or not alive(pod):
                continue
            running = self._running.get(uid, {})
            if container in running and running[container].code is None:
                end(running[container], code, pod["spec"].get("restartPolicy", "Always"), time.time())
                await self._write(pod, pod_status(pod, running, time.time()))
                return True
        return False

    def containers(self) -> list[Json]:
        """All containers in the form of a hollow node's runtime."""
        return [
            {
                "ID": f"{uid}/{name}",
                "Pod": f"{self._pods[uid]['metadata']['namespace']}/{self._pods[uid]['metadata']['name']}",
                "PodUID": uid,
                "Name": name,
                "State": "CONTAINER_RUNNING" if state.code is None else "CONTAINER_EXITED",
                "Config": {
                    "envs": [{"key": key, "value": value} for key, value in state.envs.items()],
                    "mounts": list(state.mounts),
                },
            }
            for uid, running in self._running.items()
            if uid in self._pods
            for name, state in running.items()
        ]


def _version(obj: Json) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _path(pod: Json) -> str:
    return pod_path(pod["metadata"]["namespace"], pod["metadata"]["name"])
