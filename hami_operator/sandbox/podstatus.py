"""What a kubelet reports of a node and of a pod, as pure functions: the simulated nodes write these."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.model import ContainerKind

from .podview import Place, places, specs

Json = dict[str, Any]

#: The hardware of every simulated node, the same as a hollow node's beside the cards.
CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "250", "ephemeral-storage": "1Ti"}

#: Pod annotation: every container ends with code 0 so many seconds after its start. Hollow nodes read it as well.
RUN_SECONDS = "sandbox.hami-operator.io/run-seconds"


def stamp(now: float) -> str:
    """RFC 3339 with seconds."""
    return f"{datetime.datetime.fromtimestamp(now, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def micro_stamp(now: float) -> str:
    """RFC 3339 with microseconds, as leases have it."""
    return f"{datetime.datetime.fromtimestamp(now, datetime.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def node_object(name: str, devices: Mapping[str, int], now: float, labels: Mapping[str, str] | None = None) -> Json:
    """A node as a kubelet registers it; ``devices`` is resource -> number of device ids, ``labels`` further ones."""
    amounts = {**CAPACITY, **{resource: str(count) for resource, count in devices.items()}}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})},
        },
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [ready_condition("True", now)],
            "addresses": [{"type": "Hostname", "address": name}],
            "nodeInfo": {**dict.fromkeys(_NODE_INFO, ""), "operatingSystem": "linux", "kubeletVersion": "simulated"},
        },
    }


_NODE_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeProxyVersion",
    "architecture",
)


def ready_condition(status: str, now: float) -> Json:
    """The Ready condition: True from a kubelet, Unknown from the controller that misses it."""
    reason = {"True": "KubeletReady", "Unknown": "NodeStatusUnknown"}[status]
    message = "" if status == "True" else "Kubelet stopped posting node status."
    moment = stamp(now)
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": moment,
        "lastTransitionTime": moment,
    }


@dataclass(slots=True)
class Running:
    """One container of a running pod: when it began, its exit code once it ended, and what it was given."""

    place: Place
    began: float
    ended: float = 0.0
    code: int | None = None
    restarts: int = 0
    envs: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Json] = ()


def begin(pod: Mapping[str, Any], now: float) -> dict[str, Running]:
    """The containers of an admitted pod: plain init containers have run at once, all others run."""
    running = {place.container: Running(place, now) for place in places(pod)}
    for container in running.values():
        if container.place.kind is ContainerKind.INIT:
            container.ended, container.code = now, 0
    return running


def end(container: Running, code: int, policy: str, now: float) -> None:
    """A container ends; where the pod's restart policy says so, it is started again at once."""
    if policy == "Always" or (policy == "OnFailure" and code != 0) or container.place.kind is ContainerKind.SIDECAR:
        container.began, container.restarts = now, container.restarts + 1
    else:
        container.ended, container.code = now, code


def pod_status(pod: Mapping[str, Any], containers: Mapping[str, Running], now: float) -> Json:
    """The status of a pod whose containers are in these states."""
    apps = [c for c in containers.values() if c.place.kind is ContainerKind.APP]
    over = all(c.code is not None for c in apps)
    phase = "Running" if not over else "Succeeded" if all(c.code == 0 for c in apps) else "Failed"
    images = {spec["name"]: spec.get("image", "") for spec in specs(pod)}
    reports: dict[bool, list[Json]] = {True: [], False: []}
    for container in containers.values():
        report = _container_status(container, images[container.place.container], over, now)
        reports[container.place.kind is ContainerKind.APP].append(report)
    ready = "False" if over else "True"
    started = min(c.began for c in containers.values())
    return {
        "phase": phase,
        "startTime": stamp(started),
        "hostIP": "127.0.0.1",
        "podIP": "192.168.192.168",
        "podIPs": [{"ip": "192.168.192.168"}],
        "containerStatuses": reports[True],
        "initContainerStatuses": reports[False],
        "conditions": [
            {"type": "Initialized", "status": "True", "lastTransitionTime": stamp(started)},
            {"type": "ContainersReady", "status": ready, "lastTransitionTime": stamp(now)},
            {"type": "Ready", "status": ready, "lastTransitionTime": stamp(now)},
        ],
    }


def _container_status(container: Running, image: str, over: bool, now: float) -> Json:  # noqa: FBT001 - a fact
    code = container.code
    if code is None and over:  # a sidecar goes with the last app container
        code = 0
    state: Json = {"running": {"startedAt": stamp(container.began)}}
    if code is not None:
        state = {
            "terminated": {
                "exitCode": code,
                "reason": "Completed" if code == 0 else "Error",
                "startedAt": stamp(container.began),
                "finishedAt": stamp(container.ended or now),
            }
        }
    return {
        "name": container.place.container,
        "image": image,
        "imageID": image,
        "ready": code is None or container.place.kind is ContainerKind.INIT,
        "restartCount": container.restarts,
        "state": state,
    }


def failed(reason: str, message: str) -> Json:
    """The status of a pod that the kubelet does not admit, or ends for its deadline."""
    return {"phase": "Failed", "reason": reason, "message": message}
