"""What admission owes every family: amounts that agree, a second call that changes nothing, sentences for bad input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.config import DevicesSection
from hami_operator.core.model import Container
from hami_operator.core.objects import read_pod
from hami_operator.core.vendor import Admission, Profile
from tests.vendors.families import Family, under_test
from tests.webhook.pods import SETTINGS
from webhook.catalogue import Catalogue, speaks_to_all
from webhook.mutate import Patch, Refusal, mutate_pod

EVERY = DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()
CATALOGUE = Catalogue(EVERY)

every_family = pytest.mark.parametrize("family", under_test(), ids=str)
every_profile = pytest.mark.parametrize("profile", EVERY, ids=lambda profile: profile.key)


def pod_object(limits: dict[str, Any], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    texts = {name: str(value) for name, value in limits.items()}
    container = {"name": "main", "resources": {"limits": texts, "requests": dict(texts)}}
    return {
        "metadata": {"name": "p", "namespace": "default", "annotations": annotations or {}},
        "spec": {"containers": [container]},
    }


def applied(obj: dict[str, Any], patch: Patch) -> dict[str, Any]:
    changed: dict[str, Any] = jsonpatch.apply_patch(obj, [dict(operation) for operation in patch.operations])
    return changed


@every_family
@given(data=st.data())
def test_what_is_admitted_is_admitted_once_and_for_all(family: Family, data: st.DataObject) -> None:
    """With every family in force: none minds what another wrote."""
    obj = pod_object(data.draw(family.amounts))
    verdict = mutate_pod(obj, CATALOGUE, SETTINGS)
    if isinstance(verdict, Refusal):
        assert "container 'main'" in verdict.message
        assert any(name in verdict.message for name in family.profile.names.all())
        return
    after = applied(obj, verdict)
    again = mutate_pod(after, CATALOGUE, SETTINGS)
    assert isinstance(again, Patch)
    assert again.operations == ()
    pod = read_pod(after)
    assert pod.scheduler_name == SETTINGS.scheduler_name
    (main,) = pod.containers
    assert main.limits == main.requests, "the API server wants extended resources equal"
    assert [profile.key for profile in EVERY if profile.request(main) is not None] == [family.profile.key]


@every_profile
@pytest.mark.parametrize("value", ["-1", "many", "9" * 40, "1e99", "1.5m"])
def test_an_amount_that_is_none_is_refused_with_its_container_name_and_value(profile: Profile, value: str) -> None:
    for name in profile.names.all():
        verdict = mutate_pod(pod_object({profile.names.count: 1, name: value}), Catalogue([profile]), SETTINGS)
        assert isinstance(verdict, Refusal), (name, verdict)
        for part in ("container 'main'", name, "allowed"):
            assert part in verdict.message
        assert value in verdict.message


#: Plugins that lose their way in a pod of which several containers ask: what a container asks, what its user is told.
ONE_CONTAINER = {
    "AMD": ({"amd.com/gpumem": 4096}, "the plugin takes the pod for done once the first has its card"),
    "MLU": ({"cambricon.com/vmlu": 1, "cambricon.com/mlu.smlu.vmemory": 20}, "the plugin serves pods of which one"),
    "volcano-vgpu": ({"volcano.sh/vgpu-memory": 3000}, "the plugin looks for a pod by the cards of one container"),
}


def pod_of_several(asked: Sequence[dict[str, Any]]) -> dict[str, Any]:
    obj = pod_object({})
    containers = [pod_object(limits)["spec"]["containers"][0] for limits in asked]
    obj["spec"]["containers"] = [{**each, "name": f"c{number}"} for number, each in enumerate(containers)]
    return obj


@pytest.mark.parametrize("key", ONE_CONTAINER)
def test_a_pod_that_its_plugin_can_not_serve_whole_is_warned_about(key: str) -> None:
    limits, told = ONE_CONTAINER[key]
    verdict = mutate_pod(pod_of_several([limits, {"cpu": 1}, limits]), CATALOGUE, SETTINGS)
    assert isinstance(verdict, Patch)
    (warning,) = verdict.warnings
    assert warning.startswith("containers 'c0' and 'c2' ask for ")
    assert told in warning
    alone = mutate_pod(pod_of_several([{"cpu": 1}, limits]), CATALOGUE, SETTINGS)
    assert isinstance(alone, Patch)
    assert alone.warnings == ()


@every_profile
def test_users_bring_none_of_the_keys_that_only_the_scheduler_writes(profile: Profile) -> None:
    keys = [*profile.written_keys, *(f"{prefix}0" for prefix in profile.extra_prefixes)]
    patch = mutate_pod(pod_object({"cpu": 1}, dict.fromkeys(keys, "x")), Catalogue([profile]), SETTINGS)
    assert isinstance(patch, Patch)
    assert applied(pod_object({"cpu": 1}, dict.fromkeys(keys, "x")), patch)["metadata"]["annotations"] == {}


@every_profile
def test_a_pod_that_names_nothing_of_the_family_is_left_as_it_is(profile: Profile) -> None:
    assert mutate_pod(pod_object({"cpu": 1, "example.com/gpu": 1}), Catalogue([profile]), SETTINGS) == Patch()


@every_profile
def test_a_family_says_nothing_to_containers_that_name_nothing_of_it_whatever_the_pod_bears(profile: Profile) -> None:
    """So the webhook need not ask it about them."""
    assert not speaks_to_all(profile)
    others = {name: "1" for name in (*CATALOGUE.names, "cpu") if name not in profile.names.all()}
    annotations = {key: "x" for each in EVERY for key in (*each.selection.all(), *each.pod_keys)}
    assert profile.hooks.admit(profile, Container("main", limits=others), annotations) == Admission()
