"""Builders: pods as the API server sends them, the families and settings most cases use, and a patch applier."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jsonpatch

from hami_operator.core.vendor import Profile
from hami_operator.vendors import nvidia
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
    return mutate_pod(obj, families() if profiles is None else profiles, settings)


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
