"""Job, Deployment, ReplicaSet and StatefulSet objects as the pods that they ask for."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hami_operator.core import fields
from hami_operator.core.errors import ObjectError

from .documents import Json
from .entries import Entry
from .errors import ScenarioError

WORKLOADS = ("Job", "Deployment", "ReplicaSet", "StatefulSet")

Result = TypeVar("Result")

#: More pods than any scenario is meant to hold; a typing error is told, not simulated.
MOST_PODS = 100_000


@dataclass(frozen=True, slots=True)
class _Linked:
    """An object, its uid and the uid of its controller; empty texts where it has none."""

    entry: Entry
    uid: str
    owner: str


def expand(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Every workload replaced by its pods ``name-0``, ``name-1``, ...; all other objects as they are.

    Pods of the input that a workload controls already are not asked for again, and a ReplicaSet of a Deployment that
    is in the input asks for nothing of its own.

    Raises:
        ScenarioError: a field of a workload is of the wrong type or out of range.
    """
    linked = [_told(entry, _link) for entry in entries]
    present = _present(linked)
    deployments = {item.uid for item in linked if item.entry.kind == "Deployment"} - {""}
    for item in linked:
        if item.entry.kind not in WORKLOADS:
            yield item.entry
        elif item.entry.kind != "ReplicaSet" or item.owner not in deployments:
            yield from _told(item.entry, functools.partial(_pods, present=present[item.uid]))


def _told(entry: Entry, read: Callable[[Entry], Result]) -> Result:
    """What ``read`` makes of an object; its fault is told with the object's place."""
    try:
        return read(entry)
    except ObjectError as error:
        raise ScenarioError([f"{entry}: {error}"]) from None


def _link(entry: Entry) -> _Linked:
    metadata, owner = fields.mapping(entry.content, "metadata"), ""
    for reference in fields.items(metadata, "ownerReferences", "metadata."):
        if reference.get("controller") is True:
            owner = fields.text(reference, "uid", "metadata.ownerReferences.")
    return _Linked(entry, fields.text(metadata, "uid", "metadata."), owner)


def _present(linked: Iterable[_Linked]) -> Counter[str]:
    """Pods that are not over, by the uid of the workload that controls them, directly or through a ReplicaSet."""
    above = {item.uid: item.owner for item in linked if item.entry.kind == "ReplicaSet"}
    present: Counter[str] = Counter()
    for item in linked:
        status = item.entry.content.get("status")
        phase = status.get("phase") if isinstance(status, dict) else None
        if item.entry.kind == "Pod" and item.owner and phase not in ("Succeeded", "Failed"):
            present[item.owner] += 1
            present[above.get(item.owner, "")] += 1
    del present[""]
    return present


def _pods(entry: Entry, present: int) -> list[Entry]:
    return [_pod(entry, number) for number in range(_wanted(entry) - present)]


def _wanted(entry: Entry) -> int:
    """How many pods there are to be at a time."""
    spec = fields.mapping(entry.content, "spec")
    if entry.kind != "Job":
        return _number(spec, "replicas", 1)
    status = fields.mapping(entry.content, "status")
    over = {"Complete", "Failed"}
    for condition in fields.items(status, "conditions", "status."):
        if condition.get("type") in over and condition.get("status") == "True":
            return 0
    if fields.flag(spec, "suspend", "spec."):
        return 0
    parallelism = _number(spec, "parallelism", 1)
    return min(parallelism, _number(spec, "completions", parallelism))


def _number(spec: Json, name: str, default: int) -> int:
    if spec.get(name) is None:
        return default
    value = fields.integer(spec, name, "spec.")
    if not 0 <= value <= MOST_PODS:
        raise ObjectError(f"spec.{name}", value, f"an integer from 0 to {MOST_PODS}")
    return value


def _pod(entry: Entry, number: int) -> Entry:
    name = f"{entry.name}-{number}"
    spec = fields.mapping(entry.content, "spec")
    template = spec.get("template")
    if not isinstance(template, dict):
        raise ObjectError("spec.template", template, "a pod template")
    metadata = {
        **fields.mapping(template, "metadata", "spec.template."),
        "name": name,
        "namespace": entry.namespace,
        "creationTimestamp": fields.mapping(entry.content, "metadata").get("creationTimestamp"),
    }
    pod_spec = dict(fields.mapping(template, "spec", "spec.template."))
    claims = [
        fields.text(fields.mapping(claim, "metadata"), "name") for claim in fields.items(spec, "volumeClaimTemplates")
    ]
    if claims:
        volumes: list[Any] = [
            {"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{name}"}} for claim in claims
        ]
        pod_spec["volumes"] = [*fields.items(pod_spec, "volumes", "spec.template.spec."), *volumes]
    content = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec}
    return replace(entry, kind="Pod", name=name, content=content, asked_for=True)
