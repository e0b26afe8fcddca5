"""Whatever stands in a field, the answer is a result or a sentence: never a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import ALLOCATED, container, device, node_object, pod_object
from tests.simulation.expectation import simulate

LONELY = {"kind": "Node", "metadata": {"name": "n2", "uid": "n2", "labels": {"a": "b"}}}


def of_kind(kind: str, *, uid: str = "", owner: Any = (), **parts: Any) -> dict[str, Any]:
    metadata = {"name": kind.lower(), "namespace": "default", "uid": uid or kind, "ownerReferences": list(owner)}
    return {"kind": kind, "metadata": metadata, **parts}


def world() -> list[dict[str, Any]]:
    """One object of every kind that is read, with most of the fields that are."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container(gpu=1, mem=10)]}}
    owner = [{"uid": "d", "controller": True}]
    status = {"phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}]}
    wanting = pod_object(
        "p",
        container(gpu=1, mem=10, fields={"env": [{"name": "E"}], "ports": [{"hostPort": 1}], "securityContext": {}}),
        metadata={
            "annotations": {"hami.io/gpu-scheduler-policy": "binpack"},
            "creationTimestamp": "2025-10-09T08:53:20Z",
        },
        initContainers=[container("init", gpu=1, fields={"restartPolicy": "Always"})],
        nodeSelector={"a": "b"},
        tolerations=[{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
        affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
        volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
        priorityClassName="high",
        overhead={"cpu": "1"},
    )
    running = pod_object(
        "r",
        container(gpu=1),
        metadata={"uid": "r", "annotations": {ALLOCATED: "GPU-a,NVIDIA,1,1:;"}, "ownerReferences": owner},
    )
    running = {**running, "spec": {**running["spec"], "nodeName": "n1"}, "status": status}
    allocatable = {
        "allocatable": {"cpu": "4", "nvidia.com/gpu": "10"},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    tainted, bound = {"taints": [{"key": "k", "effect": "NoSchedule"}]}, {"phase": "Bound"}
    replicas = {"template": template, "replicas": 2}
    stateful = {"template": template, "volumeClaimTemplates": [{"metadata": {"name": "w"}}]}
    job = {"template": template, "parallelism": 1, "completions": 1, "suspend": False}
    required = {"nodeAffinity": {"required": {"nodeSelectorTerms": []}}}
    return [
        node_object("n1", [device("GPU-a")], spec=tainted, status=allocatable),
        LONELY,
        running,
        wanting,
        of_kind("Deployment", uid="d", spec=replicas),
        of_kind("ReplicaSet", uid="s", owner=owner, spec=replicas),
        of_kind("StatefulSet", spec=stateful),
        of_kind("Job", spec=job, status={"conditions": []}),
        {"kind": "Namespace", "metadata": {"name": "default", "labels": {"a": "b"}}},
        {"kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1, "globalDefault": False},
        of_kind("ResourceQuota", spec={"hard": {"limits.nvidia.com/gpu": 1}}),
        {"kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": required},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {"volumeName": "pv"}, "status": bound},
        of_kind("ConfigMap", data={"device-config.yaml": "nvidia: {defaultCores: 1}"}),
        of_kind("Other"),
    ]


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from paths(inner, (*above, key))


PATHS = list(paths(world()))
junk = st.sampled_from(
    [None, True, False, 0, -1, 7, 10**20, 1.5, "", "x", "-1", "1Gi", "ü;:,", [], ["x"], [1], [None], [{}], {}, {"x": 1}]
)


def test_the_world_is_answered_as_it_is() -> None:
    result = simulate("--output", "json", text=json.dumps(world()))
    assert result.exit_code in (0, 1), result.stderr


@settings(max_examples=250)
@given(st.lists(st.tuples(st.sampled_from(PATHS), junk), min_size=1, max_size=2), st.sampled_from(["json", "table"]))
def test_junk_in_any_field_is_a_result_or_a_sentence(changes: list[tuple[tuple[Any, ...], Any]], form: str) -> None:
    objects = copy.deepcopy(world())
    for path, value in changes:
        place: Any = objects
        try:
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
        except (LookupError, TypeError):
            continue  # the first change took this place away
    for lenient in ([], ["--lenient"]):
        result = simulate("--output", form, *lenient, text=json.dumps(objects))
        assert result.exit_code in (0, 1, 2)
        assert (result.exit_code == 2) == (result.stdout == "")
        assert result.exit_code != 2 or result.stderr.startswith("error: ")
