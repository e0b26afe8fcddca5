"""Quota objects as values: keys and units of every family, scopes, and what is wrong with an object."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.config import Settings
from hami_operator.core.model import Traits
from hami_operator.core.quota import (
    CORE_KIND,
    INVALID_QUANTITY,
    MOST,
    OWN_KIND,
    UNKNOWN_RESOURCE,
    UNKNOWN_SCOPE,
    Quota,
    Scope,
    quota_keys,
    read_quota,
)

PROFILES = Settings().devices.profiles()
KEYS = quota_keys(PROFILES)


def quota(hard: dict[str, Any], kind: str = OWN_KIND, **spec: Any) -> Quota:
    return read_quota({"metadata": {"name": "q", "namespace": "a"}, "spec": {"hard": hard, **spec}}, kind, KEYS)


def hard(key: str, text: str) -> int:
    (limit,) = quota({key: text}).limits
    assert not limit.problem, limit.problem
    return limit.hard


def test_count_memory_and_cores_of_every_family_are_keys_and_percentages_are_none() -> None:
    for profile in PROFILES:
        names = profile.names
        for name in filter(None, (names.count, names.memory, names.cores)):
            assert KEYS[f"limits.{name}"].family == profile.key
        if names.memory_percent:
            assert f"limits.{names.memory_percent}" not in KEYS
    assert "limits.nvidia.com/priority" not in KEYS


@pytest.mark.parametrize(
    ("key", "text", "amount"),
    [
        ("limits.nvidia.com/gpumem", "40000", 40000),
        ("limits.nvidia.com/gpumem", "2k", 2000),
        ("limits.nvidia.com/gpumem", "4e4", 40000),
        ("limits.nvidia.com/gpumem", "40Gi", 40960),
        ("limits.nvidia.com/gpumem", "1M", 1_000_000),
        ("limits.nvidia.com/gpumem", "0", 0),
        ("limits.nvidia.com/gpumem", str(MOST), MOST),
        ("limits.nvidia.com/gpu", "1k", 1000),
        ("limits.nvidia.com/gpucores", "300", 300),
        ("limits.cambricon.com/mlu.smlu.vmemory", "10", 2560),
        ("limits.cambricon.com/mlu.smlu.vmemory", "1Gi", 1024),
        ("limits.cambricon.com/mlu.smlu.vmemory", "300Mi", 256),
        ("limits.mthreads.com/sgpu-memory", "2", 1024),
        ("limits.metax-tech.com/vmemory", "64", 65536),
        ("limits.metax-tech.com/vmemory", "64Gi", 65536),
        ("limits.metax-tech.com/vmemory", "100Mi", 100),
        ("limits.metax-tech.com/vmemory", "64k", 64000 * 1024),
        ("limits.metax-tech.com/vmemory", "64G", 61035),
        ("limits.enflame.com/vgcu-percentage", "250", 250),
    ],
)
def test_an_amount_is_read_in_its_keys_own_unit(key: str, text: str, amount: int) -> None:
    assert hard(key, text) == amount


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("limits.nvidia.com/gpu", "1.5"),
        ("limits.nvidia.com/gpu", "1500m"),
        ("limits.nvidia.com/gpu", "4Gi"),
        ("limits.nvidia.com/gpu", "-1"),
        ("limits.nvidia.com/gpu", "many"),
        ("limits.nvidia.com/gpu", ""),
        ("limits.nvidia.com/gpucores", "1Ki"),
        ("limits.nvidia.com/gpumem", "-1Gi"),
        ("limits.nvidia.com/gpumem", "0.5"),
        ("limits.nvidia.com/gpumem", "1Ki"),
        ("limits.nvidia.com/gpumem", str(MOST + 1)),
        ("limits.nvidia.com/gpumem", "20E"),
        ("limits.cambricon.com/mlu.smlu.vmemory", "100Mi"),
        ("limits.enflame.com/vgcu-percentage", "1Gi"),
    ],
)
def test_an_amount_that_means_nothing_blocks_its_key_and_says_so(key: str, text: str) -> None:
    found = quota({key: text, "limits.nvidia.com/gpucores" if "cores" not in key else "limits.amd.com/gpu": "7"})
    bad = next(limit for limit in found.limits if limit.key.text == key)
    assert key in bad.problem
    assert repr(text) in bad.problem
    assert "integer from 0" in bad.problem
    assert [reason for reason, _ in found.problems] == [INVALID_QUANTITY]
    assert len([limit for limit in found.limits if not limit.problem]) == 1, "the other key stays in force"


def test_a_key_of_no_family_is_named_with_those_that_are_known_and_the_others_stay() -> None:
    found = quota({"limits.nvidia.com/gpumem-percentage": "50", "limits.nvidia.com/gpu": "4"})
    ((reason, text),) = found.problems
    assert reason == UNKNOWN_RESOURCE
    assert text.startswith("limits.nvidia.com/gpumem-percentage: no family in force has it")
    assert "limits.nvidia.com/gpumem," in text
    assert [limit.key.text for limit in found.limits] == ["limits.nvidia.com/gpu"]


def test_keys_of_a_core_quota_that_are_kubernetes_own_are_no_problem() -> None:
    found = quota({"limits.cpu": "4", "requests.nvidia.com/gpu": "2", "pods": "10", "limits.amd.com/gpu": 3}, CORE_KIND)
    assert found.problems == ()
    assert [(limit.key.text, limit.hard) for limit in found.limits] == [("limits.amd.com/gpu", 3)]


def test_amounts_are_shown_in_the_keys_unit_rounded_up() -> None:
    assert KEYS["limits.nvidia.com/gpumem"].shown(4000) == "4000"
    assert KEYS["limits.cambricon.com/mlu.smlu.vmemory"].shown(257) == "2"
    assert KEYS["limits.metax-tech.com/vmemory"].shown(512) == "512Mi"


# -- scopes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "traits", "covered"),
    [
        (Scope("PriorityClass"), Traits("high"), True),
        (Scope("PriorityClass"), Traits(), False),
        (Scope("PriorityClass", "DoesNotExist"), Traits(), True),
        (Scope("PriorityClass", "In", ("high", "low")), Traits("low"), True),
        (Scope("PriorityClass", "In", ("high",)), Traits("low"), False),
        (Scope("PriorityClass", "NotIn", ("high",)), Traits("low"), True),
        (Scope("PriorityClass", "NotIn", ("high",)), Traits(), True),
        (Scope("Terminating"), Traits(terminating=True), True),
        (Scope("Terminating"), Traits(), False),
        (Scope("NotTerminating"), Traits(), True),
        (Scope("NotTerminating"), Traits(terminating=True), False),
        (Scope("BestEffort"), Traits(best_effort=True), True),
        (Scope("BestEffort"), Traits(), False),
        (Scope("NotBestEffort"), Traits(), True),
        (Scope("NotBestEffort"), Traits(best_effort=True), False),
    ],
)
def test_a_scope_covers_the_pods_that_kubernetes_says(scope: Scope, traits: Traits, covered: bool) -> None:
    assert scope.covers(traits) is covered


def test_all_scopes_of_an_object_must_hold_in_either_spelling() -> None:
    expressions = [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
    found = quota(
        {"limits.nvidia.com/gpu": 1}, scopes=["NotTerminating"], scopeSelector={"matchExpressions": expressions}
    )
    assert found.covers(Traits("high"))
    assert not found.covers(Traits("high", terminating=True))
    assert not found.covers(Traits("low"))


def test_a_scope_that_cannot_be_judged_holds_for_every_pod_and_is_told() -> None:
    found = quota({"limits.nvidia.com/gpu": 1}, CORE_KIND, scopes=["CrossNamespacePodAffinity"])
    assert found.covers(Traits())
    assert [reason for reason, _ in found.problems] == [UNKNOWN_SCOPE]
