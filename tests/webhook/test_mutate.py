"""What becomes of a pod on its way in: the truth tables of the protocol as data, and each refusal with its sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from hami_operator import config
from hami_operator.core.vendor import Admission, Hooks
from webhook.mutate import ANNOTATIONS_LIMIT_BYTES, RESERVED_BYTES, Patch, Privileged, Refusal, SharedLock

from .pods import (
    HARMLESS,
    RESOURCES,
    SETTINGS,
    SPOOFED,
    admitted,
    amounts,
    container,
    families,
    judge,
    pod,
    pods_of_all_kinds,
    refused,
)

# -- who is judged: protocol 3.4, column OURS --------------------------------------------------------------------

MUTATED, UNTOUCHED, DENIED, WARNED = "mutated", "untouched", "denied", "warned"

#: schedulerName (None: not given), overwrite the default scheduler, what else is special, what happens.
SCHEDULER_TABLE = [
    (None, True, {}, MUTATED),
    ("", True, {}, MUTATED),
    ("default-scheduler", True, {}, MUTATED),
    ("default-scheduler", False, {}, UNTOUCHED),
    ("", False, {}, MUTATED),
    ("hami-scheduler", True, {}, MUTATED),
    ("hami-scheduler", False, {}, MUTATED),
    ("other", True, {}, UNTOUCHED),
    ("other", False, {}, UNTOUCHED),
    ("default-scheduler", True, {"containers": [container(limits={"cpu": 1})]}, UNTOUCHED),
    ("default-scheduler", True, {"nodeName": "n1"}, DENIED),
    ("other", True, {"nodeName": "n1"}, UNTOUCHED),
    ("default-scheduler", True, {"nodeName": "n1", "containers": [container()]}, UNTOUCHED),
    ("default-scheduler", True, {"containers": []}, DENIED),
    ("other", True, {"containers": []}, DENIED),
]


@pytest.mark.parametrize(("scheduler", "overwrite", "spec", "outcome"), SCHEDULER_TABLE)
def test_scheduler_truth_table(scheduler, overwrite, spec, outcome):
    obj = pod(**spec)
    if scheduler is None:
        del obj["spec"]["schedulerName"]
    else:
        obj["spec"]["schedulerName"] = scheduler
    settings = replace(SETTINGS, overwrite_default_scheduler=overwrite)
    if outcome == DENIED:
        refused(obj, settings=settings)
        return
    changed, warnings = admitted(obj, settings=settings)
    assert warnings == ()
    if outcome == UNTOUCHED:
        assert changed == obj
    else:
        assert changed["spec"]["schedulerName"] == "hami-scheduler"
        assert changed["spec"]["containers"][0]["resources"]["limits"] == amounts({"gpu": 1, "cores": 100})


def test_another_name_of_our_scheduler_is_respected():
    settings = replace(SETTINGS, scheduler_name="cards")
    changed, _ = admitted(pod(), settings=settings)
    assert changed["spec"]["schedulerName"] == "cards"
    assert judge(pod(schedulerName="hami-scheduler"), settings=settings) == Patch()


# -- what is filled in: protocol 3.5, nvidia 1.4 -----------------------------------------------------------------

#: What the container's limits say, settings of the family, what limits and requests say afterwards.
NVIDIA_TABLE = [
    ({"gpu": 1, "pct": 100}, {}, {"gpu": 1, "pct": 100, "cores": 100}),
    ({"gpu": 1, "pct": 50}, {}, {"gpu": 1, "pct": 50}),
    ({"gpu": 1}, {}, {"gpu": 1, "cores": 100}),
    ({"gpu": 1, "cores": 70}, {}, {"gpu": 1, "cores": 70}),
    ({"gpu": 1, "cores": 0}, {}, {"gpu": 1, "cores": 0}),
    ({"gpu": 1, "mem": 8192}, {}, {"gpu": 1, "mem": 8192}),
    ({"gpu": 1, "mem": "8k"}, {}, {"gpu": 1, "mem": "8k"}),
    ({"mem": 1000}, {}, {"gpu": 1, "mem": 1000}),
    ({"pct": 25}, {}, {"gpu": 1, "pct": 25}),
    ({"pct": 100}, {}, {"gpu": 1, "pct": 100, "cores": 100}),
    ({"cores": 30}, {}, {"gpu": 1, "cores": 30}),
    ({"mem": 1000}, {"default_count": 3}, {"gpu": 3, "mem": 1000}),
    ({"gpu": 2}, {"memory_name": ""}, {"gpu": 2, "cores": 100}),
    ({"gpu": 1}, {"default_memory_mib": 4000}, {"gpu": 1}),
    ({"gpu": 2, "mem": 3000, "cores": 30}, {}, {"gpu": 2, "mem": 3000, "cores": 30}),
    ({"cpu": 2, "memory": "1Gi"}, {}, {"cpu": 2, "memory": "1Gi"}),
    ({"gpu": 0, "cpu": 2}, {}, {"gpu": 0, "cpu": 2}),
    ({"gpu": 0, "cores": 0}, {}, {"gpu": 0, "cores": 0}),
    ({"gpu": 1, "mem": 0, "pct": 50}, {}, {"gpu": 1, "mem": 0, "pct": 50}),
    ({"gpu": 1, "mem": 0, "pct": 100}, {}, {"gpu": 1, "mem": 0, "pct": 100, "cores": 100}),
]


@pytest.mark.parametrize(("limits", "changes", "expected"), NVIDIA_TABLE)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_amounts_are_filled_in_for_limits_and_requests_alike(limits, changes, expected, kind):
    obj = pod(container("plain"), **({} if kind == "containers" else {"initContainers": [container(limits=limits)]}))
    if kind == "containers":
        obj["spec"]["containers"].append(container(limits=limits))
    changed, _ = admitted(obj, profiles=families(**changes))
    resources = changed["spec"][kind][-1]["resources"]
    assert resources == {"limits": amounts(expected), "requests": amounts(expected)}


#: nvidia 1.4 confirms: an amount that stands in requests alone counts as well.
@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (None, None),
        ({}, {}),
        ({"limits": None, "requests": None}, {"limits": None, "requests": None}),
        (
            {"requests": {"gpu": 1, "pct": 100}},
            {"requests": {"gpu": 1, "pct": 100, "cores": 100}, "limits": {"cores": 100}},
        ),
        ({"limits": {"gpu": 1}}, {"limits": {"gpu": 1, "cores": 100}, "requests": {"cores": 100}}),
        (
            {"limits": {"gpu": 1}, "requests": None},
            {"limits": {"gpu": 1, "cores": 100}, "requests": {"cores": 100}},
        ),
    ],
)
def test_sections_that_are_absent_or_null_are_made(resources, expected):
    def full(sections: Any) -> Any:
        return sections and {name: section and amounts(section) for name, section in sections.items()}

    obj = pod(container(resources=full(resources)))
    changed, _ = admitted(obj)
    assert changed["spec"]["containers"][0]["resources"] == full(expected)


def test_a_container_without_resources_that_a_family_gives_some_gets_both_sections():
    def admit(profile, container, annotations):
        return Admission(claimed=True, resources={"example.com/card": 1})

    (nvidia,) = families()
    obj = pod({"name": "main", "image": "app"})
    changed, _ = admitted(obj, profiles=(replace(nvidia, hooks=Hooks(admit=admit)),))
    both = {"example.com/card": "1"}
    assert changed["spec"]["containers"][0]["resources"] == {"limits": both, "requests": both}


def test_an_amount_that_a_family_changes_is_changed_in_limits_and_requests():
    def admit(profile, container, annotations):
        return Admission(claimed=True, resources={"nvidia.com/gpumem": 24576})

    (nvidia,) = families()
    obj = pod(container(limits={"gpu": 1, "mem": 20000}))
    changed, _ = admitted(obj, profiles=(replace(nvidia, hooks=Hooks(admit=admit)),))
    both = amounts({"gpu": 1, "mem": 24576})
    assert changed["spec"]["containers"][0]["resources"] == {"limits": both, "requests": both}


def test_annotations_of_a_family_are_added_where_absent():
    def admit(profile, container, annotations):
        return Admission(claimed=True, annotations={"example.com/policy": "best-effort"})

    (nvidia,) = families()
    profiles = (replace(nvidia, hooks=Hooks(admit=admit)),)
    for present in (None, {}, {"a": "b"}):
        changed, _ = admitted(pod(metadata={"annotations": present}), profiles=profiles)
        assert changed["metadata"]["annotations"] == {**(present or {}), "example.com/policy": "best-effort"}
    kept = {"example.com/policy": "fixed"}
    changed, _ = admitted(pod(metadata={"annotations": kept}), profiles=profiles)
    assert changed["metadata"]["annotations"] == kept


#: Env of the container, settings of the family, limits, env afterwards.
ENV_TABLE = [
    (None, {}, {"gpu": 1}, None),
    (None, {}, {"gpu": 1, "priority": 1}, [("CUDA_TASK_PRIORITY", "1")]),
    ([], {}, {"gpu": 1, "priority": 0}, [("CUDA_TASK_PRIORITY", "0")]),
    ([("A", "b")], {}, {"gpu": 1, "priority": 0}, [("A", "b"), ("CUDA_TASK_PRIORITY", "0")]),
    ([("CUDA_TASK_PRIORITY", "0")], {}, {"gpu": 1, "priority": 1}, [("CUDA_TASK_PRIORITY", "0")]),
    (None, {"core_policy": "force"}, {"gpu": 1}, [("GPU_CORE_UTILIZATION_POLICY", "force")]),
    (None, {"core_policy": "force"}, {"cpu": 1}, None),
    (None, {"overwrite_env": True}, {"cpu": 1}, [("NVIDIA_VISIBLE_DEVICES", "none")]),
    (None, {"overwrite_env": True}, {"gpu": 1}, None),
]


@pytest.mark.parametrize(("env", "changes", "limits", "expected"), ENV_TABLE)
def test_environment_is_added_where_it_is_not_set(env, changes, limits, expected):
    def entries(pairs: Any) -> Any:
        return pairs and [{"name": name, "value": value} for name, value in pairs]

    fields = {} if env is None else {"env": entries(env)}
    changed, _ = admitted(pod(container(limits=limits, **fields)), profiles=families(**changes))
    assert changed["spec"]["containers"][0].get("env") == (entries(expected) or fields.get("env"))


def test_the_runtime_class_is_set_on_a_pod_of_ours_that_has_none():
    profiles = families(runtime_class="nvidia")
    assert admitted(pod(), profiles=profiles)[0]["spec"]["runtimeClassName"] == "nvidia"
    assert admitted(pod(runtimeClassName="runc"), profiles=profiles)[0]["spec"]["runtimeClassName"] == "runc"
    assert "runtimeClassName" not in admitted(pod(container()), profiles=profiles)[0]["spec"]


def test_only_what_changes_is_patched():
    patch = judge(pod(container(limits={"gpu": 1, "mem": 3000}), metadata={"annotations": {"a": "b"}}))
    assert isinstance(patch, Patch)
    assert patch.operations == ({"op": "add", "path": "/spec/schedulerName", "value": "hami-scheduler"},)


def test_fields_of_newer_api_versions_survive():
    obj = pod(container(limits={"gpu": 1}, somethingNew={"a": [1]}), alsoNew="x")
    changed, _ = admitted(obj)
    assert changed["spec"]["containers"][0]["somethingNew"] == {"a": [1]}
    assert changed["spec"]["alsoNew"] == "x"


# -- what nobody may bring: protocol 2.1, 2.5, EX-30 -------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["default-scheduler", "hami-scheduler", "other"])
def test_claims_of_an_allocation_are_taken_away_whoever_schedules_the_pod(scheduler):
    metadata = {"annotations": {**SPOOFED, **HARMLESS}, "labels": {"hami.io/vgpu-node": "n1", "app": "x"}}
    changed, warnings = admitted(pod(metadata=metadata, schedulerName=scheduler))
    assert changed["metadata"]["annotations"] == HARMLESS
    assert changed["metadata"]["labels"] == {"app": "x"}
    assert warnings == (
        "annotation 'hami.io/vgpu-node' was removed: only the scheduler writes it",
        "annotation 'hami.io/vgpu-time' was removed: only the scheduler writes it",
        "annotation 'hami.io/bind-phase' was removed: only the scheduler writes it",
        "annotation 'hami.io/bind-time' was removed: only the scheduler writes it",
        "6 more annotations that only the scheduler writes were removed",
        "label 'hami.io/vgpu-node' was removed: only the scheduler writes it",
    )


@pytest.mark.parametrize("key", sorted(SPOOFED))
def test_each_claim_is_taken_away_and_its_owner_told(key):
    changed, warnings = admitted(pod(metadata={"annotations": {key: "x"}}))
    assert changed["metadata"]["annotations"] == {}
    assert warnings == (f"annotation {key!r} was removed: only the scheduler writes it",)


def test_odd_keys_are_addressed_rightly():
    odd = {"hami-operator.io/a~1b/c~d": "x", "hami-operator.io/a~b": "x", "kept/~": "x"}
    changed, _ = admitted(pod(metadata={"annotations": odd}))
    assert changed["metadata"]["annotations"] == {"kept/~": "x"}


def test_every_key_that_a_family_writes_is_guarded():
    for profile in families():
        for key in profile.written_keys:
            assert admitted(pod(metadata={"annotations": {key: "x"}}))[0]["metadata"]["annotations"] == {}


# -- warnings ----------------------------------------------------------------------------------------------------


def test_amounts_given_as_annotations_are_told_to_have_no_effect():
    _, warnings = admitted(pod(metadata={"annotations": {"nvidia.com/gpumem": "3000", "nvidia.com/gpu": "1"}}))
    assert warnings == (
        "annotation nvidia.com/gpu has no effect: write it under resources.limits",
        "annotation nvidia.com/gpumem has no effect: write it under resources.limits",
    )


def test_memory_together_with_percentage_is_told():
    changed, warnings = admitted(pod(container(limits={"gpu": 1, "mem": 3000, "pct": 50})))
    assert changed["spec"]["containers"][0]["resources"]["limits"] == amounts({"gpu": 1, "mem": 3000, "pct": 50})
    assert warnings == (
        "container 'main': nvidia.com/gpumem and nvidia.com/gpumem-percentage are both set; nvidia.com/gpumem is used",
    )


def test_a_privileged_container_is_let_in_with_a_warning_where_that_is_chosen():
    obj = pod(container(limits={"gpu": 1}, securityContext={"privileged": True}))
    changed, warnings = admitted(obj, settings=replace(SETTINGS, privileged=Privileged.WARN))
    assert changed["spec"]["schedulerName"] == "hami-scheduler"
    assert warnings == (
        "container 'main' asks for nvidia.com/gpu 1 and is privileged: it would see every card of its node",
    )


MIXED = pod(container("a", limits={"gpu": 1}), container("b", limits={"hygon.com/dcunum": 1}))
ALL = config.DevicesSection(volcano={}).profiles()


def test_two_families_under_one_lock_are_admitted_unless_that_is_denied():
    admitted(MIXED, profiles=ALL)
    refusal = judge(MIXED, ALL, replace(SETTINGS, shared_lock=SharedLock.DENY))
    assert refusal == Refusal(
        "container 'a' asks for nvidia.com/gpu and container 'b' for hygon.com/dcunum: their device plugins share the "
        "node lock hami.io/mutex.lock, which the first takes away from the second; allowed is one of the two per pod"
    )


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param([{"gpu": 1}, {"gpu": 1}], id="one family in two containers"),
        pytest.param([{"gpu": 1}, {"aws.amazon.com/neuron": 1}], id="a lock of our own"),
        pytest.param([{"gpu": 1}, {"volcano.sh/vgpu-number": 1}], id="a lock of another key"),
        pytest.param([{"metax-tech.com/gpu": 1}, {"enflame.com/gcu": 1}], id="no lock"),
        pytest.param([{"gpu": 1}, {"hygon.com/dcunum": 0}], id="none of the second"),
    ],
)
def test_what_shares_no_lock_is_never_denied(limits):
    obj = pod(*(container(f"c{n}", limits=amounts) for n, amounts in enumerate(limits)))
    admitted(obj, profiles=ALL, settings=replace(SETTINGS, shared_lock=SharedLock.DENY))


def test_a_privileged_container_that_asks_for_nothing_is_no_matter():
    admitted(pod(container(limits={"gpu": 1}), container("agent", securityContext={"privileged": True})))


# -- refusals ----------------------------------------------------------------------------------------------------

#: Limits of the container, and words that the sentence must hold: container, resource, value, what is allowed.
BAD_AMOUNTS = [
    ({"gpu": "x"}, ("nvidia.com/gpu", "'x'", "an integer from")),
    ({"gpu": ""}, ("nvidia.com/gpu", "''", "an integer from")),
    ({"gpu": 0, "mem": 3000}, ("nvidia.com/gpu is 0 while nvidia.com/gpumem is 3000", "an integer from 1")),
    ({"gpu": 0, "pct": 50}, ("nvidia.com/gpu is 0 while nvidia.com/gpumem-percentage is 50", "an integer from 1")),
    ({"gpu": 0, "cores": 10}, ("nvidia.com/gpu is 0 while nvidia.com/gpucores is 10", "an integer from 1")),
    ({"gpu": -1}, ("nvidia.com/gpu", "-1", "an integer from")),
    ({"gpu": "500m"}, ("nvidia.com/gpu", "500m", "an integer from")),
    ({"gpu": 1 << 31}, ("nvidia.com/gpu", "2147483648", "2147483647")),
    ({"gpu": 1, "mem": "1Gi"}, ("nvidia.com/gpumem", "1Gi", "write 1024 (MiB)")),
    ({"gpu": 1, "mem": "2Gi"}, ("nvidia.com/gpumem", "2Gi", "write 2048 (MiB)")),
    ({"gpu": 1, "mem": "3Gi"}, ("nvidia.com/gpumem", "3Gi", "write 3072 (MiB)")),
    ({"gpu": 1, "mem": "4Gi"}, ("nvidia.com/gpumem", "4Gi", "write 4096 (MiB)")),
    ({"gpu": 1, "mem": "512Mi"}, ("nvidia.com/gpumem", "512Mi", "write 512 (MiB)")),
    ({"gpu": 1, "mem": 0}, ("nvidia.com/gpumem", "0", "an integer from 1 to 2147483647")),
    ({"gpu": 1, "mem": "1.5"}, ("nvidia.com/gpumem", "1.5", "an integer from 1 to 2147483647")),
    ({"gpu": 1, "mem": "3G"}, ("nvidia.com/gpumem", "3G", "2147483647")),
    ({"gpu": 1, "mem": "9" * 40}, ("nvidia.com/gpumem", "999", "2147483647")),
    ({"gpu": 1, "mem": "1e999"}, ("nvidia.com/gpumem", "1e999", "2147483647")),
    ({"gpu": 1, "pct": 0}, ("nvidia.com/gpumem-percentage", "0", "from 1 to 100")),
    ({"gpu": 1, "pct": "1Ki"}, ("nvidia.com/gpumem-percentage is 1Ki, allowed is an integer without a binary suffix",)),
    ({"gpu": 1, "pct": 101}, ("nvidia.com/gpumem-percentage", "101", "from 1 to 100")),
    ({"gpu": 1, "pct": 150}, ("nvidia.com/gpumem-percentage", "150", "from 1 to 100")),
    ({"gpu": 1, "cores": 120}, ("nvidia.com/gpucores", "120", "from 0 to 100")),
    ({"gpu": 1, "cores": -1}, ("nvidia.com/gpucores", "-1", "from 0 to 100")),
    ({"gpu": 1, "priority": 2}, ("nvidia.com/priority", "2", "from 0 to 1")),
    ({"priority": "high"}, ("nvidia.com/priority", "'high'", "from 0 to 1")),
    ({"mem": "1Gi"}, ("nvidia.com/gpumem", "1Gi", "write 1024 (MiB)")),
]


@pytest.mark.parametrize(("limits", "words"), BAD_AMOUNTS)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_an_amount_that_can_never_work_is_refused_with_what_is_allowed(limits, words, kind):
    obj = pod(container("good"), initContainers=[])
    obj["spec"][kind].append(container("trainer", limits=limits))
    message = refused(obj)
    for word in ("'trainer'", *words):
        assert word in message
    assert "\n" not in message


@pytest.mark.parametrize("limits", [{"gpu": 0}, {"gpu": "0", "cpu": 1}, {"gpu": 0, "cores": 0}])
def test_a_count_of_zero_asks_for_nothing(limits):
    """Charts tell users without GPUs to write it; HAMi takes such a pod over because the key is there."""
    assert judge(pod(container(limits=limits), nodeName="n1")) == Patch()


def test_a_container_with_a_count_of_zero_sees_no_card_where_that_is_hidden():
    changed, _ = admitted(pod(container(limits={"gpu": 0})), profiles=families(overwrite_env=True))
    assert changed["spec"]["containers"][0]["env"] == [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "none"}]
    assert changed["spec"]["schedulerName"] == "default-scheduler"


def noted(key: str, value: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {key: value}}}


#: What is special about the pod, and words of the sentence.
BAD_PODS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"nodeName": "n1"}, ("'main'", "nvidia.com/gpu 1", "spec.nodeName is 'n1'", "allowed is none")),
    (
        {"containers": [container(limits={"gpu": 1}, securityContext={"privileged": True})]},
        ("'main'", "nvidia.com/gpu 1", "privileged", "allowed is securityContext.privileged false"),
    ),
    (
        {"initContainers": [container("setup", limits={"mem": 1}, securityContext={"privileged": True})]},
        ("'setup'", "nvidia.com/gpumem 1", "privileged"),
    ),
    (noted("hami.io/gpu-scheduler-policy", "fastest"), ("gpu-scheduler-policy", "'fastest'", "binpack")),
    (noted("hami.io/node-scheduler-policy", "mutex"), ("node-scheduler-policy", "'mutex'", "spread")),
    (noted("nvidia.com/vgpu-mode", "mig,fast"), ("vgpu-mode", "'fast'", "hami-core, mig, mps")),
    ({"containers": []}, ("pod has no containers",)),
    ({"containers": None}, ("pod has no containers",)),
]


@pytest.mark.parametrize(("changes", "words"), BAD_PODS)
def test_a_pod_that_can_never_work_is_refused_with_a_sentence(changes, words):
    message = refused(pod(**changes))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("policy", "mode"), [("", ""), ("binpack", "mig"), ("topology-aware", " mig , hami-core"), ("mutex,numa", "mps")]
)
def test_policy_and_mode_words_that_are_known_pass(policy, mode):
    annotations = {"hami.io/gpu-scheduler-policy": policy, "nvidia.com/vgpu-mode": mode}
    admitted(pod(metadata={"annotations": annotations}))


def test_words_of_a_pod_that_asks_for_nothing_are_nobodys_business():
    admitted(pod(container(), metadata={"annotations": {"hami.io/gpu-scheduler-policy": "fastest"}}))


def test_annotations_must_leave_room_for_the_allocation():
    room = ANNOTATIONS_LIMIT_BYTES - RESERVED_BYTES
    key = "example.com/notes"
    admitted(pod(metadata={"annotations": {key: "x" * (room - len(key))}}))
    message = refused(pod(metadata={"annotations": {key: "x" * (room - len(key) + 1)}}))
    assert str(room + 1) in message
    assert str(room) in message
    admitted(pod(container(), metadata={"annotations": {key: "x" * ANNOTATIONS_LIMIT_BYTES}}))
    spoofed = {key: "x" * (room - len(key)), "hami-operator.io/allocation": "x" * RESERVED_BYTES}
    admitted(pod(metadata={"annotations": spoofed}))


#: A field of the wrong type, and its name in the sentence.
WRONG_TYPES: list[tuple[dict[str, Any], str]] = [
    ({"metadata": []}, "metadata"),
    ({"metadata": {"annotations": []}}, "metadata.annotations"),
    ({"metadata": {"annotations": {"a": 1}}}, "metadata.annotations[a]"),
    ({"metadata": {"labels": 7}}, "metadata.labels"),
    ({"spec": "x"}, "spec"),
    ({"spec": {"containers": {}}}, "spec.containers"),
    ({"spec": {"containers": [1]}}, "spec.containers[0]"),
    ({"spec": {"containers": [{"name": 1}]}}, "spec.containers[0].name"),
    ({"spec": {"containers": [{"name": "a", "resources": []}]}}, "spec.containers[0].resources"),
    ({"spec": {"containers": [{"name": "a", "resources": {"limits": {"x": {}}}}]}}, "resources.limits[x]"),
    ({"spec": {"containers": [{"name": "a", "env": "x"}]}}, "spec.containers[0].env"),
    ({"spec": {"containers": [{"name": "a", "securityContext": {"privileged": "yes"}}]}}, "securityContext.privileged"),
    ({"spec": {"containers": [container(limits={"gpu": 1})], "schedulerName": 3}}, "spec.schedulerName"),
    ({"spec": {"containers": [container(limits={"gpu": 1})], "nodeName": 3}}, "spec.nodeName"),
    ({"spec": {"initContainers": 3, "containers": [container()]}}, "spec.initContainers"),
]


@pytest.mark.parametrize(("changes", "field"), WRONG_TYPES)
def test_a_field_of_the_wrong_type_is_refused_by_name(changes, field):
    assert field in refused({**pod(), **changes})


def test_hostile_names_are_quoted():
    nasty = "<script>\n\x1b[31m"
    message = refused(pod(container(nasty, limits={"gpu": "x"})))
    assert repr(nasty) in message
    assert "\n" not in message
    _, warnings = admitted(pod(metadata={"annotations": {f"hami-operator.io/{nasty}" + "k" * 500: "x"}}))
    assert "\n" not in warnings[0]
    assert len(warnings[0]) < 200


def test_a_pod_of_two_hundred_containers_is_judged():
    containers = [container(f"c{i}", limits={"gpu": 1, "mem": 100}) for i in range(200)]
    changed, warnings = admitted(pod(*containers))
    assert changed["spec"]["schedulerName"] == "hami-scheduler"
    assert warnings == ()


# -- properties --------------------------------------------------------------------------------------------------


@given(pods_of_all_kinds)
def test_every_pod_is_either_refused_with_a_sentence_or_patched_once_and_for_all(obj):
    verdict = judge(obj)
    if isinstance(verdict, Refusal):
        assert verdict.message
        return
    changed, _ = admitted(obj)
    assert not set(changed["metadata"].get("annotations") or {}) & set(SPOOFED)
    assert "hami.io/vgpu-node" not in (changed["metadata"].get("labels") or {})
    for each in (*(changed["spec"]["initContainers"] or ()), *changed["spec"]["containers"]):
        resources = each["resources"]
        for name in RESOURCES.values():
            assert resources.get("limits", {}).get(name) == resources.get("requests", {}).get(name)
