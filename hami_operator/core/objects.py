"""From API objects (decoded JSON or YAML) to values. Only what decisions need is read; the rest is never touched."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from . import fields
from .fields import Object
from .model import (
    AntiAffinity,
    Constraints,
    Container,
    ContainerKind,
    LabelSelector,
    Node,
    Pod,
    PodKey,
    Requirement,
    Resources,
    SelectorTerm,
    Taint,
    Toleration,
    Traits,
)
from .quantity import milli, plain


def read_pod(obj: Object) -> Pod:
    """A Pod object as a value.

    Raises:
        ObjectError: a field that we read has the wrong type.
    """
    metadata, spec, status = (fields.mapping(obj, name) for name in ("metadata", "spec", "status"))
    name = fields.text(metadata, "name", "metadata.")
    namespace = fields.text(metadata, "namespace", "metadata.", default="default")
    containers = read_containers(spec)
    resources = _pod_resources(containers, fields.amounts(spec, "overhead", "spec."))
    return Pod(
        key=PodKey(namespace, name, fields.text(metadata, "uid", "metadata.", default=f"{namespace}/{name}")),
        resource_version=fields.text(metadata, "resourceVersion", "metadata."),
        annotations=fields.text_map(metadata, "annotations", "metadata."),
        labels=fields.text_map(metadata, "labels", "metadata."),
        containers=containers,
        constraints=_constraints(spec, name),
        resources=resources,
        node_name=fields.text(spec, "nodeName", "spec."),
        phase=fields.text(status, "phase", "status.", default="Pending"),
        scheduler_name=fields.text(spec, "schedulerName", "spec.", default="default-scheduler"),
        priority=fields.integer(spec, "priority", "spec."),
        created=fields.moment(metadata, "creationTimestamp", "metadata."),
        deleting=metadata.get("deletionTimestamp") is not None,
        init_done=_condition(status, "Initialized").get("status") == "True",
        status_reason=fields.text(status, "reason", "status."),
        unscheduled=_unscheduled(status),
        owner_uid=_controller(metadata),
        traits=_traits(spec, status, resources),
    )


def _traits(spec: Object, status: Object, resources: Resources) -> Traits:
    """The class of service is the API server's word; a pod that it has not seen yet is judged by its amounts."""
    service = fields.text(status, "qosClass", "status.")
    best_effort = service == "BestEffort" if service else not (resources.cpu_milli or resources.memory_bytes)
    deadline = spec.get("activeDeadlineSeconds") is not None
    return _shared_traits(fields.text(spec, "priorityClassName", "spec."), deadline, best_effort)


#: Pods by the ten thousand have a handful of these.
_shared_traits = functools.lru_cache(Traits)


def read_node(obj: Object) -> Node:
    """A Node object as a value. Raises ObjectError when a field that we read has the wrong type."""
    metadata, spec, status = (fields.mapping(obj, name) for name in ("metadata", "spec", "status"))
    taints = fields.items(spec, "taints", "spec.")
    capacity = fields.amounts(status, "capacity", "status.")
    allocatable = fields.amounts(status, "allocatable", "status.") or capacity
    return Node(
        name=fields.text(metadata, "name", "metadata."),
        uid=fields.text(metadata, "uid", "metadata."),
        resource_version=fields.text(metadata, "resourceVersion", "metadata."),
        annotations=fields.text_map(metadata, "annotations", "metadata."),
        labels=fields.text_map(metadata, "labels", "metadata."),
        taints=tuple(Taint(*(fields.text(t, n, "spec.taints.") for n in ("key", "value", "effect"))) for t in taints),
        unschedulable=fields.flag(spec, "unschedulable", "spec."),
        ready=_condition(status, "Ready").get("status", "True") == "True",
        allocatable=_resources(allocatable, "status.allocatable") if allocatable else None,
        capacity=_resources(capacity, "status.capacity"),
    )


def read_containers(spec: Object) -> tuple[Container, ...]:
    """The containers in wire order: init containers (sidecars among them), then app containers."""
    result = []
    for name, kind in (("initContainers", ContainerKind.INIT), ("containers", ContainerKind.APP)):
        for position, raw in enumerate(fields.items(spec, name, "spec.")):
            path = f"spec.{name}[{position}]."
            sidecar = kind is ContainerKind.INIT and raw.get("restartPolicy") == "Always"
            resources = fields.mapping(raw, "resources", path)
            security = fields.mapping(raw, "securityContext", path)
            result.append(
                Container(
                    name=fields.text(raw, "name", path),
                    kind=ContainerKind.SIDECAR if sidecar else kind,
                    limits=fields.amounts(resources, "limits", f"{path}resources."),
                    requests=fields.amounts(resources, "requests", f"{path}resources."),
                    privileged=fields.flag(security, "privileged", f"{path}securityContext."),
                    env=frozenset(fields.text(env, "name", f"{path}env.") for env in fields.items(raw, "env", path)),
                )
            )
    return tuple(result)


def _condition(status: Object, kind: str) -> Object:
    """A condition by type; empty when it is absent."""
    for condition in fields.items(status, "conditions", "status."):
        if condition.get("type") == kind:
            return condition
    return {}


def _unscheduled(status: Object) -> tuple[str, str] | None:
    found = _condition(status, "PodScheduled")
    if found.get("status") != "False":
        return None
    reason, message = (fields.text(found, name, "status.conditions.") for name in ("reason", "message"))
    return reason, message


def _controller(metadata: Object) -> str:
    for owner in fields.items(metadata, "ownerReferences", "metadata."):
        if owner.get("controller") is True:
            return fields.text(owner, "uid", "metadata.ownerReferences.")
    return ""


# -- resources ---------------------------------------------------------------------------------------------------


def _resources(texts: Mapping[str, str], path: str) -> Resources:
    extended = {}
    cpu = memory = ephemeral = pods = 0
    for name, text in texts.items():
        field = f"{path}[{name}]"
        if name == "cpu":
            cpu = fields.number(text, field, milli)
        elif name == "memory":
            memory = fields.number(text, field, plain)
        elif name == "ephemeral-storage":
            ephemeral = fields.number(text, field, plain)
        elif name == "pods":
            pods = fields.number(text, field, plain)
        else:
            extended[name] = fields.number(text, field, plain)
    return Resources(cpu, memory, ephemeral, pods, extended)


def _pod_resources(containers: Iterable[Container], overhead: Mapping[str, str]) -> Resources:
    """What the pod needs at its highest, by the kubelet's rule (KEP-753).

    The larger of (all app containers and sidecars) and each init container with the sidecars started before it.
    """
    steady: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in containers:
        asked = _flat(_resources({**container.limits, **container.requests}, f"container {container.name}"))
        if container.kind is ContainerKind.INIT:
            for name, value in asked.items():
                peak[name] = max(peak.get(name, 0), steady.get(name, 0) + value)
        else:
            for name, value in asked.items():
                steady[name] = steady.get(name, 0) + value
    total = {name: max(steady.get(name, 0), peak.get(name, 0)) for name in steady.keys() | peak.keys()}
    for name, value in _flat(_resources(overhead, "spec.overhead")).items():
        total[name] = total.get(name, 0) + value
    cpu, memory, ephemeral = (total.pop(name, 0) for name in ("cpu", "memory", "ephemeral-storage"))
    return Resources(cpu, memory, ephemeral, pods=1, extended=total)


def _flat(resources: Resources) -> dict[str, int]:
    native = {
        "cpu": resources.cpu_milli,
        "memory": resources.memory_bytes,
        "ephemeral-storage": resources.ephemeral_bytes,
    }
    return {name: value for name, value in {**native, **resources.extended}.items() if value}


# -- constraints -------------------------------------------------------------------------------------------------

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _constraints(spec: Object, pod_name: str) -> Constraints:
    affinity = fields.mapping(spec, "affinity", "spec.")
    node_affinity = fields.mapping(fields.mapping(affinity, "nodeAffinity"), _REQUIRED)
    return Constraints(
        node_selector=tuple(sorted(fields.text_map(spec, "nodeSelector", "spec.").items())),
        affinity_terms=read_terms(node_affinity) if node_affinity else None,
        tolerations=tuple(_toleration(item) for item in fields.items(spec, "tolerations", "spec.")),
        host_ports=frozenset(_host_ports(spec)),
        claims=tuple(_claims(spec, pod_name)),
        anti_affinity=tuple(_anti_affinity(affinity)),
        gates=tuple(fields.text(gate, "name") for gate in fields.items(spec, "schedulingGates", "spec.")),
        unsupported=tuple(_unsupported(spec, affinity)),
    )


def read_terms(selector: Object) -> tuple[SelectorTerm, ...]:
    """The terms of a NodeSelector object."""
    return tuple(
        SelectorTerm(_requirements(term, "matchExpressions"), _requirements(term, "matchFields"))
        for term in fields.items(selector, "nodeSelectorTerms")
    )


def read_claim(obj: Object) -> tuple[tuple[str, str], str]:
    """A PersistentVolumeClaim: (namespace, name), and its volume, empty while it is not bound. Raises ObjectError."""
    metadata = fields.mapping(obj, "metadata")
    key = fields.text(metadata, "namespace"), fields.text(metadata, "name")
    bound = fields.text(fields.mapping(obj, "status"), "phase", "status.") == "Bound"
    volume = fields.text(fields.mapping(obj, "spec"), "volumeName", "spec.")
    return key, volume if bound else ""


def read_volume(obj: Object) -> tuple[str, tuple[SelectorTerm, ...] | None]:
    """A PersistentVolume: its name, and the terms of the nodes that have it (None: all). Raises ObjectError."""
    affinity = fields.mapping(fields.mapping(obj, "spec"), "nodeAffinity", "spec.")
    required = fields.mapping(affinity, "required", "spec.nodeAffinity.")
    return fields.text(fields.mapping(obj, "metadata"), "name"), read_terms(required) if required else None


def _requirements(term: Object, name: str) -> tuple[Requirement, ...]:
    return tuple(
        Requirement(fields.text(raw, "key"), fields.text(raw, "operator"), fields.texts(raw, "values"))
        for raw in fields.items(term, name)
    )


def _toleration(raw: Object) -> Toleration:
    key, value, effect = (fields.text(raw, name, "spec.tolerations.") for name in ("key", "value", "effect"))
    return Toleration(key, fields.text(raw, "operator", "spec.tolerations.", default="Equal"), value, effect)


def _host_ports(spec: Object) -> Iterable[tuple[str, str, int]]:
    """(address, protocol, port) of every host port; sidecars listen too, plain init containers only for a while."""
    host_network = spec.get("hostNetwork") is True
    for container in (*fields.items(spec, "initContainers", "spec."), *fields.items(spec, "containers", "spec.")):
        for port in fields.items(container, "ports", "spec.containers."):
            number = fields.integer(port, "hostPort") or (fields.integer(port, "containerPort") if host_network else 0)
            if number:
                yield fields.text(port, "hostIP") or "0.0.0.0", fields.text(port, "protocol", default="TCP"), number


def _claims(spec: Object, pod_name: str) -> Iterable[str]:
    for volume in fields.items(spec, "volumes", "spec."):
        claim = fields.mapping(volume, "persistentVolumeClaim", "spec.volumes.")
        if claim:
            yield fields.text(claim, "claimName", "spec.volumes.persistentVolumeClaim.")
        elif volume.get("ephemeral") is not None:
            yield f"{pod_name}-{fields.text(volume, 'name', 'spec.volumes.')}"


def _anti_affinity(affinity: Object) -> Iterable[AntiAffinity]:
    for term in fields.items(fields.mapping(affinity, "podAntiAffinity"), _REQUIRED):
        raw = term.get("labelSelector")
        every = term.get("namespaceSelector") is not None
        yield AntiAffinity(
            selector=_label_selector(raw) if isinstance(raw, Mapping) else None,
            namespaces=frozenset({"*"} if every else fields.texts(term, "namespaces")),
            topology_key=fields.text(term, "topologyKey"),
        )


def _label_selector(raw: Object) -> LabelSelector:
    labels = tuple(sorted(fields.text_map(raw, "matchLabels").items()))
    return LabelSelector(labels, _requirements(raw, "matchExpressions"))


def _unsupported(spec: Object, affinity: Object) -> Iterable[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        if fields.items(fields.mapping(affinity, kind), _REQUIRED):
            yield f"spec.affinity.{kind}.{_REQUIRED}"
    spread = fields.items(spec, "topologySpreadConstraints", "spec.")
    if any(fields.text(item, "whenUnsatisfiable", default="DoNotSchedule") == "DoNotSchedule" for item in spread):
        yield "spec.topologySpreadConstraints"
    if fields.items(spec, "resourceClaims", "spec."):
        yield "spec.resourceClaims"
