"""One simulated node: a kubelet in a few lines around the same plugin code that a hollow node's process runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .allocation import Plugin, PluginNode
from .api import CALL_ERRORS, STRATEGIC, Api, node_path, pod_path
from .errors import AllocateFailed, ApiError, BadSpec
from .faults import Faults
from .journal import Journal
from .plugins import Call
from .podstatus import (
    RUN_SECONDS,
    Running,
    begin,
    end,
    failed,
    micro_stamp,
    node_object,
    pod_status,
    ready_condition,
)
from .podview import alive, annotations_of, device_ids_held, init_done, requests

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
    def _amounts(self) -> dict[str, int]:
        """Device ids the kubelet can give out, by resource: those of healthy cards, none while the plugin is away."""
        amounts = self.plugin.amounts
        return dict.fromkeys(amounts, 0) if self.plugin.faults.dead else amounts

    async def register(self) -> None:
        """Create the node and its lease; one that exists already is taken over."""
        name, now = self.node.name, time.time()
        lease = {"metadata": {"name": name}, "spec": {"holderIdentity": name, "leaseDurationSeconds": 40}}
        for path, body in (
            ("/api/v1/nodes", node_object(name, self._amounts, now, self.node.habits.labels)),
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
                except CALL_ERRORS as error:
                    log.warning("node %s: lease not renewed: %s", self.node.name, error)

    async def _keep_registered(self) -> None:
        """The plugin's registration, as long as neither plugin nor node are away."""
        await self.plugin.keep_registered(lambda: self._on and not self.plugin.faults.dead)

    async def _refresh(self) -> None:
        """The plugin tells at once what is free again; after a failure it does with the next registration."""
        try:
            await self.plugin.refresh()
        except CALL_ERRORS as error:
            log.warning("node %s: not registered: %s", self.node.name, error)

    async def set_faults(self, faults: Faults) -> None:
        """Take over faults and report the device ids that are left."""
        before = self._amounts
        await self.plugin.set_faults(faults)
        if (amounts := self._amounts) != before:
            await self._report({"allocatable": {name: str(amount) for name, amount in amounts.items()}})

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
        if self._on and self.node.habits.publish_after:
            self._start(self._refresh())

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
        """Device ids for each container and each resource of the plugin; others are none of the kubelet's business."""
        amounts = self._amounts
        others = [p for uid, p in self._pods.items() if uid in self._running and alive(p)]
        for resource, amount in amounts.items():
            wanted = device_ids_held(pod, resource)
            free = amount - sum(device_ids_held(other, resource) for other in others)
            if wanted > max(free, 0):
                raise AllocateFailed(
                    f"requested number of devices unavailable for {resource}. "
                    f"Requested: {wanted}, Available: {max(free, 0)}"
                )
        for place, resource, count in requests(pod, amounts):
            injection = await self.plugin.allocate(Call(resource, count))
            container = running[place.container]
            container.envs = {**container.envs, **injection.envs}
            container.mounts = [*container.mounts, *(asdict(mount) for mount in injection.mounts)]

    async def _write(self, pod: Json, status: Json) -> None:
        """Report a pod's status; a pod that is gone by now is left alone."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        try:
            answer = await self._api.patch(f"{_path(pod)}/status", body, STRATEGIC)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        else:
            if pod["metadata"]["uid"] in self._pods:  # the watch may have told of its end before this answer came
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
