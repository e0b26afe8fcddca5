"""API objects become values; a field of the wrong type is told by name, value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.errors import ObjectError
from hami_operator.core.model import ContainerKind, Resources
from hami_operator.core.objects import read_node, read_pod
from tests.builders import container, pod_object


def test_a_pod_is_read_with_what_decisions_need() -> None:
    pod = read_pod(
        {
            "metadata": {
                "name": "train-0",
                "namespace": "team-a",
                "uid": "u1",
                "resourceVersion": "7",
                "creationTimestamp": "2025-10-09T08:53:20Z",
                "deletionTimestamp": "2025-10-09T08:54:20Z",
                "annotations": {"a": "b"},
                "labels": {"c": "d"},
                "ownerReferences": [{"uid": "x"}, {"uid": "owner", "controller": True}],
            },
            "spec": {
                "nodeName": "n1",
                "schedulerName": "hami-scheduler",
                "priority": 5,
                "containers": [{"name": "main", "env": [{"name": "E"}], "securityContext": {"privileged": True}}],
                "schedulingGates": [{"name": "wait"}],
            },
            "status": {
                "phase": "Failed",
                "reason": "UnexpectedAdmissionError",
                "conditions": [
                    {"type": "Initialized", "status": "True"},
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "why"},
                ],
            },
        }
    )
    assert str(pod.key) == "team-a/train-0"
    assert (pod.key.uid, pod.resource_version, pod.owner_uid) == ("u1", "7", "owner")
    assert (pod.node_name, pod.scheduler_name, pod.priority, pod.created) == ("n1", "hami-scheduler", 5, 1_760_000_000)
    assert pod.deleting
    assert pod.terminal
    assert pod.init_done
    assert pod.status_reason == "UnexpectedAdmissionError"
    assert pod.unscheduled == ("Unschedulable", "why")
    assert pod.constraints.gates == ("wait",)
    assert pod.containers[0].env == {"E"}
    assert pod.containers[0].privileged


def test_what_a_pod_leaves_out_has_the_defaults_of_the_api() -> None:
    pod = read_pod({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main"}]}})
    assert (pod.key.namespace, pod.phase, pod.scheduler_name) == ("default", "Pending", "default-scheduler")
    assert pod.resources == Resources(pods=1)
    assert not pod.init_done


def test_containers_come_in_wire_order_with_their_kinds() -> None:
    pod = read_pod(
        pod_object(
            "p",
            container("app"),
            initContainers=[container("prep"), container("proxy", fields={"restartPolicy": "Always"})],
        )
    )
    kinds = [(item.name, item.kind) for item in pod.containers]
    assert kinds == [("prep", ContainerKind.INIT), ("proxy", ContainerKind.SIDECAR), ("app", ContainerKind.APP)]


def asked(*apps: dict[str, str], init: list[dict[str, Any]] | None = None, **spec: Any) -> Resources:
    containers = [{"name": f"c{i}", "resources": {"requests": app}} for i, app in enumerate(apps)]
    return read_pod(
        {"metadata": {"name": "p"}, "spec": {"containers": containers, "initContainers": init, **spec}}
    ).resources


def test_app_containers_add_up_and_overhead_is_on_top() -> None:
    assert asked({"cpu": "500m", "memory": "1Gi"}, {"cpu": "1"}, overhead={"cpu": "100m"}) == Resources(
        cpu_milli=1600, memory_bytes=2**30, pods=1
    )


def test_an_init_container_counts_only_where_it_needs_more_than_the_apps() -> None:
    init = [{"name": "i", "resources": {"requests": {"cpu": "3", "memory": "1Mi"}}}]
    assert asked({"cpu": "1", "memory": "1Gi"}, init=init) == Resources(3000, 2**30, pods=1)


def test_a_sidecar_runs_beside_later_init_containers_and_the_apps() -> None:
    init = [
        {"name": "early", "resources": {"requests": {"cpu": "4"}}},
        {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
        {"name": "late", "resources": {"requests": {"cpu": "4"}}},
    ]
    assert asked({"cpu": "2"}, init=init).cpu_milli == 5000
    assert asked({"cpu": "5"}, init=init).cpu_milli == 6000


def test_limits_stand_in_for_requests_that_are_not_given() -> None:
    pod = read_pod({"metadata": {"name": "p"}, "spec": {"containers": [container(gpu=2, cpu=1)]}})
    assert pod.resources.extended == {"nvidia.com/gpu": 2}
    assert pod.resources.cpu_milli == 1000


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [([], True), ([{"type": "Ready", "status": "True"}], True), ([{"type": "Ready", "status": "Unknown"}], False)],
)
def test_a_node_is_ready_unless_its_condition_says_otherwise(conditions: list[Any], ready: bool) -> None:
    assert read_node({"metadata": {"name": "n"}, "status": {"conditions": conditions}}).ready is ready


def test_a_node_without_amounts_says_nothing_of_them() -> None:
    assert read_node({"metadata": {"name": "n"}}).allocatable is None
    node = read_node({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "4", "nvidia.com/gpu": "10"}}})
    assert node.allocatable == Resources(cpu_milli=4000, extended={"nvidia.com/gpu": 10})


def test_constraints_that_are_not_judged_are_named() -> None:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    pod = read_pod(
        pod_object(
            affinity={"podAffinity": {required: [{"topologyKey": "zone"}]}, "podAntiAffinity": {required: [{}]}},
            topologySpreadConstraints=[{"whenUnsatisfiable": "DoNotSchedule"}],
            resourceClaims=[{"name": "c"}],
        )
    )
    assert pod.constraints.unsupported == (
        f"spec.affinity.podAffinity.{required}",
        f"spec.affinity.podAntiAffinity.{required}",
        "spec.topologySpreadConstraints",
        "spec.resourceClaims",
    )


def test_preferences_are_not_constraints() -> None:
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    pod = read_pod(
        pod_object(
            affinity={"podAffinity": {preferred: [{}]}, "nodeAffinity": {preferred: [{}]}},
            topologySpreadConstraints=[{"whenUnsatisfiable": "ScheduleAnyway"}],
        )
    )
    assert pod.constraints.unsupported == ()
    assert pod.constraints.affinity_terms is None


def test_claims_and_ports_are_read() -> None:
    pod = read_pod(
        pod_object(
            "p",
            {"name": "a", "ports": [{"hostPort": 80}, {"containerPort": 1}, {"hostPort": 53, "protocol": "UDP"}]},
            volumes=[
                {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "ephemeral": {}},
                {"name": "e", "emptyDir": {}},
            ],
        )
    )
    assert pod.constraints.claims == ("data", "p-scratch")
    assert pod.constraints.host_ports == {("0.0.0.0", "TCP", 80), ("0.0.0.0", "UDP", 53)}


def test_on_the_host_network_every_container_port_is_a_host_port() -> None:
    pod = read_pod(pod_object("p", {"name": "a", "ports": [{"containerPort": 9}]}, hostNetwork=True))
    assert pod.constraints.host_ports == {("0.0.0.0", "TCP", 9)}


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"metadata": {"name": 7}}, "metadata.name: 7 is not a text"),
        ({"metadata": {"annotations": {"a": 1}}}, "metadata.annotations[a]: 1 is not a text"),
        ({"metadata": {"labels": []}}, "metadata.labels: [] is not an object"),
        ({"metadata": {"creationTimestamp": "yesterday"}}, "metadata.creationTimestamp: 'yesterday' is not an"),
        ({"spec": []}, "spec: [] is not an object"),
        ({"spec": {"priority": "high"}}, "spec.priority: 'high' is not an integer"),
        ({"spec": {"priority": True}}, "spec.priority: True is not an integer"),
        ({"spec": {"containers": {}}}, "spec.containers: {} is not a list"),
        ({"spec": {"containers": ["main"]}}, "spec.containers[0]: 'main' is not an object"),
        ({"spec": {"containers": [{"resources": {"limits": {"cpu": []}}}]}}, "containers[0].resources.limits[cpu]:"),
        ({"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}, "[cpu]: 'x' is not a quantity"),
        ({"spec": {"containers": [{"securityContext": {"privileged": 1}}]}}, "privileged: 1 is not true or false"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_named_with_its_value(part: dict[str, Any], field: str) -> None:
    with pytest.raises(ObjectError) as caught:
        read_pod(part)
    assert field in str(caught.value)
