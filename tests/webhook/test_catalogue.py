"""Which families are asked about a container, and which keys are the scheduler's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from hami_operator.core.model import Container
from hami_operator.core.vendor import Admission, Hooks, Profile, ResourceNames
from webhook.catalogue import Catalogue, written_keys

from .pods import HARMLESS, SPOOFED, families

(NVIDIA,) = families()
HIDING = families(overwrite_env=True)[0]


def answering(name: str, *resources: str) -> Profile:
    """A family of these resource names that answers each container that names one with its own name."""

    def admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
        return Admission(warnings=(name,) if profile.named_in(container.limits | container.requests) else ())

    count, *memory = resources
    return replace(NVIDIA, names=ResourceNames(count, *memory), hooks=Hooks(admit=admit))


CATALOGUE = Catalogue(
    [answering("a", "a/card", "a/mem"), answering("b", "b/card"), answering("ab", "a/card", "b/card")]
)


@pytest.mark.parametrize(
    ("limits", "requests", "asked"),
    [
        ((), (), ""),
        (("cpu", "c/card"), ("memory",), ""),
        (("b/card",), (), "b ab"),
        ((), ("a/mem",), "a"),
        (("b/card", "a/card"), ("a/card",), "a b ab"),
    ],
)
def test_families_whose_resources_a_container_names_are_asked_in_their_order(limits, requests, asked):
    container = Container("main", limits=dict.fromkeys(limits, "1"), requests=dict.fromkeys(requests, "1"))
    assert [a.warnings for a in CATALOGUE.admissions(container, {}).values()] == [(name,) for name in asked.split()]


def test_a_family_that_changes_containers_that_ask_for_nothing_is_always_asked():
    (admission,) = Catalogue([HIDING]).admissions(Container("main"), {}).values()
    assert admission.env == (("NVIDIA_VISIBLE_DEVICES", "none"),)
    assert Catalogue([NVIDIA]).admissions(Container("main"), {}) == {}


def test_names_come_in_the_order_of_the_families():
    assert CATALOGUE.named_in({"b/card": "", "x": "", "a/mem": ""}) == ["a/mem", "b/card"]
    assert CATALOGUE.named_in({"x": ""}) == []


def test_keys_that_the_scheduler_writes_are_told_from_others():
    catalogue = Catalogue([replace(NVIDIA, extra_keys=("x/assigned",), extra_prefixes=("x/index-",))])
    written = {*SPOOFED, "x/assigned", "x/index-0"}
    others = {*HARMLESS, "x/assigned-by", "x/index", "hami.io/-devices-allocated", "hami-operator.io"}
    assert {key for key in written | others if catalogue.writes(key)} == written


def test_keys_are_listed_that_the_pattern_and_our_prefix_leave_out():
    keys, prefixes = written_keys([replace(NVIDIA, extra_keys=("x/assigned",), extra_prefixes=("x/index-",))])
    assert keys == ["hami.io/bind-phase", "hami.io/bind-time", "hami.io/vgpu-node", "hami.io/vgpu-time", "x/assigned"]
    assert prefixes == ["hami-operator.io/", "x/index-"]
