"""Builders: pods as the API server sends them, the families and settings most cases use, and a patch applier."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jsonpatch
from hypothesis import strategies as st

from hami_operator.core.vendor import Profile
from hami_operator.vendors import nvidia
from webhook.catalogue import Catalogue
from webhook.mutate import Patch, Privileged, Refusal, Settings, mutate_pod

NVIDIA: Mapping[str, Any] = {
    "count_name": "nvidia.com/gpu",
    "memory_name": "nvidia.com/gpumem",
    "memory_percent_name": "nvidia.com/gpumem-percentage",
    "core_name": "nvidia.com/gpucores",
    "priority_name": "nvidia.com/priority",
    "default_memory_mib": 0,
    "default_cores": 0,
    "default_count": 1,
    "overwrite_env": False,
    "core_policy": "default",
    "runtime_class": "",
    "topology": "auto",
    "mig_geometries": (),
}

SETTINGS = Settings(scheduler_name="hami-scheduler", overwrite_default_scheduler=True, privileged=Privileged.DENY)

#: Short names of amounts in the tables.
RESOURCES = {
    "gpu": "nvidia.com/gpu",
    "mem": "nvidia.com/gpumem",
    "pct": "nvidia.com/gpumem-percentage",
    "cores": "nvidia.com/gpucores",
    "priority": "nvidia.com/priority",
}

#: Annotations that only the scheduler may write, and others that look like it.
SPOOFED = {
    "hami.io/vgpu-node": "n1",
    "hami.io/vgpu-time": "1700000000",
    "hami.io/bind-phase": "allocating",
    "hami.io/bind-time": "1700000000",
    "hami.io/vgpu-devices-to-allocate": "GPU-bbbb,NVIDIA,0,0:;",
    "hami.io/vgpu-devices-allocated": "GPU-bbbb,NVIDIA,0,0:;",
    "hami.io/dcu-devices-allocated": "DCU-1,DCU,0,0:;",
    "hami-operator.io/allocation": "{}",
    "hami-operator.io/epoch": "1",
    "hami-operator.io/whatever": "1",
}
HARMLESS = {
    "nvidia.com/use-gputype": "A100",
    "hami.io/gpu-scheduler-policy": "binpack",
    "hami.io/node-scheduler-policy": "spread",
    "volcano.sh/vgpu-ids-new": "x",
    "example.com/hami.io-devices-allocated": "x",
}


def families(**changes: Any) -> tuple[Profile, ...]:
    """The profiles in force: NVIDIA with its usual settings, some of them changed."""
    return nvidia.profiles(nvidia.Settings(**{**NVIDIA, **changes}))


def amounts(short: Mapping[str, Any]) -> dict[str, str]:
    """``{"gpu": 1}`` -> ``{"nvidia.com/gpu": "1"}``."""
    return {RESOURCES.get(name, name): str(value) for name, value in short.items()}


def container(name: str = "main", **fields: Any) -> dict[str, Any]:
    """A container; ``limits`` are copied to requests, as the API server's defaulting does before any webhook."""
    made: dict[str, Any] = {"name": name, "image": "registry.example/app:1", "resources": {}}
    for section in ("limits", "requests"):
        if section in fields:
            made["resources"][section] = amounts(fields.pop(section))
    if "limits" in made["resources"]:
        requests = made["resources"].get("requests", {})
        made["resources"]["requests"] = {**made["resources"]["limits"], **requests}
    return {**made, **fields}


def pod(*containers: dict[str, Any], metadata: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod; one container with one GPU when none is given."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "train-0", "namespace": "team-a", **(metadata or {})},
        "spec": {
            "schedulerName": "default-scheduler",
            "containers": list(containers) or [container(limits={"gpu": 1})],
            **spec,
        },
    }


def judge(
    obj: Mapping[str, Any], profiles: tuple[Profile, ...] | None = None, settings: Settings = SETTINGS
) -> Patch | Refusal:
    """``mutate_pod`` with the usual families."""
    return mutate_pod(obj, Catalogue(families() if profiles is None else profiles), settings)


def admitted(obj: Mapping[str, Any], **kwargs: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The pod as it is stored, and the warnings. Also proves that a second call changes nothing."""
    before = copy.deepcopy(obj)
    patch = judge(obj, **kwargs)
    assert isinstance(patch, Patch), patch
    assert obj == before, "the pod that was handed in is not touched"
    changed: dict[str, Any] = jsonpatch.apply_patch(obj, [dict(op) for op in patch.operations])
    again = judge(changed, **kwargs)
    assert isinstance(again, Patch)
    assert again.operations == (), "the mutation is idempotent"
    return changed, patch.warnings


def refused(obj: Mapping[str, Any], **kwargs: Any) -> str:
    """The message of the refusal."""
    verdict = judge(obj, **kwargs)
    assert isinstance(verdict, Refusal), verdict
    return verdict.message


# -- pods of all kinds, for properties ---------------------------------------------------------------------------

#: Mostly amounts that work, so that most pods are admitted; every other kind now and then.
_good = st.fixed_dictionaries(
    {},
    optional={
        "gpu": st.integers(1, 3).map(str),
        "mem": st.sampled_from(["1", "3000", "2k"]),
        "pct": st.sampled_from(["1", "50", "100"]),
        "cores": st.sampled_from(["0", "30", "100"]),
        "priority": st.sampled_from(["0", "1"]),
        "cpu": st.just("1"),
    },
)
_any = st.dictionaries(
    st.sampled_from(["gpu", "mem", "pct", "cores", "priority", "cpu"]),
    st.sampled_from(["", "0", "-1", "101", "1k", "2Gi", "500m", "1e3", "x", "99999999999", "0.5", "+1", " 1"]),
    max_size=5,
)
_limits = st.one_of(_good, _good, _good, _good, _good, _any)
_env = st.one_of(
    st.none(),
    st.lists(
        st.builds(
            lambda name: {"name": name, "value": "x"},
            st.sampled_from(["A", "CUDA_TASK_PRIORITY", "GPU_CORE_UTILIZATION_POLICY"]),
        ),
        max_size=2,
    ),
)
_container = st.builds(
    lambda name, limits, env, privileged: container(
        name, limits=limits, env=env, securityContext={"privileged": privileged}
    ),
    st.text(max_size=5),
    _limits,
    _env,
    st.sampled_from([False] * 9 + [True, None]),
)
_spec = st.fixed_dictionaries(
    {
        "initContainers": st.one_of(st.none(), st.lists(_container, max_size=2)),
        "schedulerName": st.sampled_from([None, "", "default-scheduler", "hami-scheduler", "other"]),
        "nodeName": st.sampled_from([None, None, "", "", "", "n1"]),
    },
    optional={"runtimeClassName": st.sampled_from([None, "runc"]), "volumes": st.just([{"name": "v"}])},
)
_metadata = st.fixed_dictionaries(
    {},
    optional={
        "annotations": st.one_of(
            st.none(),
            st.dictionaries(
                st.sampled_from([*SPOOFED, *HARMLESS, *RESOURCES.values()]), st.text(max_size=5), max_size=4
            ),
        ),
        "labels": st.sampled_from([None, {}, {"app": "x"}, {"hami.io/vgpu-node": "n1", "app": "x"}]),
    },
)
pods_of_all_kinds = st.builds(
    lambda containers, spec, metadata: {**pod(*containers, metadata=metadata, **spec), "status": {"phase": "Pending"}},
    st.lists(_container, min_size=1, max_size=3),
    _spec,
    _metadata,
)
