"""Each example does what its comment says, as far as admission goes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from hami_operator.config import DevicesSection
from hami_operator.core.quota import quota_keys, read_quota
from tests.webhook.pods import judge
from webhook.mutate import Patch, Refusal

from .conftest import MANIFESTS

EXAMPLES = sorted((MANIFESTS / "examples").rglob("*.yaml"))

#: Every family, those too that have to be named in the settings.
PROFILES = DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()


#: Objects that stand beside the pods of an example.
BESIDE = ("Namespace", "PriorityClass", "ResourceQuota", "ExtendedResourceQuota")


def pods(obj: dict[str, Any]) -> dict[str, Any]:
    """The pod, or the pod that the workload makes."""
    return obj if obj["kind"] == "Pod" else obj["spec"]["template"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_is_admitted_or_refused_as_its_comment_says(path):
    text = path.read_text()
    comment = " ".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))
    said = re.findall(r"\b(Admitted, with a warning|Admitted|Refused|Left alone)\b", comment)
    assert len(said) == 1, "the comment says once what happens"
    for obj in (obj for obj in yaml.safe_load_all(text) if obj["kind"] not in BESIDE):
        verdict = judge(pods(obj), PROFILES)
        if said[0] == "Refused":
            assert isinstance(verdict, Refusal)
        elif said[0] == "Left alone":
            assert verdict == Patch()
        else:
            assert isinstance(verdict, Patch), verdict
            assert bool(verdict.warnings) == (said[0] == "Admitted, with a warning")
            assert any(op["path"] == "/spec/schedulerName" for op in verdict.operations)


def test_names_of_examples_do_not_clash():
    names = [
        (obj["kind"], obj["metadata"]["name"]) for path in EXAMPLES for obj in yaml.safe_load_all(path.read_text())
    ]
    assert len(names) == len(set(names)) > 10


QUOTAS = sorted((MANIFESTS / "examples" / "quota").glob("*.yaml"))


@pytest.mark.parametrize("path", QUOTAS, ids=lambda path: path.stem)
def test_a_quota_of_an_example_has_only_keys_that_are_known(path):
    objects = [obj for obj in yaml.safe_load_all(path.read_text()) if obj["kind"].endswith("ResourceQuota")]
    assert objects
    for obj in objects:
        quota = read_quota(obj, obj["kind"], quota_keys(PROFILES))
        assert quota.limits
        assert quota.problems == ()
