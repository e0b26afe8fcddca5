"""What kubelet and plugins read of a pod, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hami_operator.core.model import ContainerKind
from hami_operator.core.quantity import plain

Json = dict[str, Any]


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of an API object, absent ones as an empty dictionary."""
    return obj.get("metadata", {}).get("annotations") or {}


@dataclass(frozen=True, slots=True)
class Place:
    """A container's true position in a pod: what the checker goes by."""

    position: int
    container: str
    kind: ContainerKind


def places(pod: Mapping[str, Any]) -> list[Place]:
    """All containers of a pod in the order the kubelet serves them: init containers first."""
    found = []
    for container in pod["spec"].get("initContainers", ()):
        kind = ContainerKind.SIDECAR if container.get("restartPolicy") == "Always" else ContainerKind.INIT
        found.append((container["name"], kind))
    found += [(container["name"], ContainerKind.APP) for container in pod["spec"]["containers"]]
    return [Place(position, name, kind) for position, (name, kind) in enumerate(found)]


def specs(pod: Mapping[str, Any]) -> list[Json]:
    """The containers' specifications in the same order."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def limit(spec: Mapping[str, Any], resource: str) -> int:
    """A container's limit of an extended resource, 0 without one; the API server writes 6000 as ``6k``."""
    return plain((spec.get("resources", {}).get("limits") or {}).get(resource, "0"))


def device_requests(pod: Mapping[str, Any], resource: str) -> list[tuple[Place, int]]:
    """The containers that ask for the resource and how many, in the order the kubelet asks for them."""
    asked = [limit(spec, resource) for spec in specs(pod)]
    return [(place, count) for place, count in zip(places(pod), asked, strict=True) if count]


def requests(pod: Mapping[str, Any], resources: Iterable[str]) -> list[tuple[Place, str, int]]:
    """The same of several resources: container by container, each one's resources in the order given."""
    names = list(resources)
    return [
        (place, name, count)
        for place, spec in zip(places(pod), specs(pod), strict=True)
        for name in names
        if (count := limit(spec, name))
    ]


def device_ids_held(pod: Mapping[str, Any], resource: str) -> int:
    """Device ids a pod holds: init containers lend theirs to the app containers."""
    asked = device_requests(pod, resource)
    initial = [count for place, count in asked if place.kind is ContainerKind.INIT]
    return max(max(initial, default=0), sum(count for place, count in asked if place.kind is not ContainerKind.INIT))


def init_done(pod: Mapping[str, Any]) -> bool:
    """Whether every plain init container has ended."""
    wanted = {place.container for place in places(pod) if place.kind is ContainerKind.INIT}
    ended = {
        status["name"]
        for status in pod.get("status", {}).get("initContainerStatuses", ())
        if "terminated" in status.get("state", {})
    }
    return wanted <= ended


def alive(pod: Mapping[str, Any]) -> bool:
    """Whether a pod may still run containers: not Succeeded, not Failed."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def pending(pod: Mapping[str, Any]) -> bool:
    """Whether no container of it has started."""
    return bool(pod.get("status", {}).get("phase") == "Pending")


def plain_env(pod: Mapping[str, Any], container: str) -> dict[str, str]:
    """A container's own variables with plain values."""
    for spec in specs(pod):
        if spec["name"] == container:
            return {entry["name"]: entry.get("value", "") for entry in spec.get("env", ())}
    return {}
