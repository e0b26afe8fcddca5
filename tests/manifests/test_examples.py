"""Each example does what its comment says, as far as admission goes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from hami_operator.config import DevicesSection
from tests.webhook.pods import judge
from webhook.mutate import Patch, Refusal

from .conftest import MANIFESTS

EXAMPLES = sorted((MANIFESTS / "examples").rglob("*.yaml"))

#: Every family, those too that have to be named in the settings.
PROFILES = DevicesSection(vnpus={}, iluvatars={}).profiles()


def pods(obj: dict[str, Any]) -> dict[str, Any]:
    """The pod, or the pod that the workload makes."""
    return obj if obj["kind"] == "Pod" else obj["spec"]["template"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_is_admitted_or_refused_as_its_comment_says(path):
    text = path.read_text()
    comment = " ".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))
    said = re.findall(r"\b(Admitted, with a warning|Admitted|Refused)\b", comment)
    assert len(said) == 1, "the comment says once what happens"
    for obj in yaml.safe_load_all(text):
        verdict = judge(pods(obj), PROFILES)
        if said[0] == "Refused":
            assert isinstance(verdict, Refusal)
        else:
            assert isinstance(verdict, Patch), verdict
            assert bool(verdict.warnings) == (said[0] == "Admitted, with a warning")
            assert any(op["path"] == "/spec/schedulerName" for op in verdict.operations)


def test_names_of_examples_do_not_clash():
    names = [obj["metadata"]["name"] for path in EXAMPLES for obj in yaml.safe_load_all(path.read_text())]
    assert len(names) == len(set(names)) > 10
