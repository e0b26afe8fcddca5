"""The admission policies know every annotation that gives cards to pods."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hami_operator.config import Settings
from hami_operator.core import protocol

from .conftest import Objects, find


def guarded(policy: dict[str, Any]) -> tuple[set[str], re.Pattern[str]]:
    """The keys that the policy names, and its pattern."""
    named = next(v["expression"] for v in policy["spec"]["variables"] if v["name"] == "named")
    pattern = re.search(r"key\.matches\('([^']+)'\)", policy["spec"]["validations"][0]["expression"])
    assert pattern is not None
    return set(re.findall(r"'([^']+)'", named)), re.compile(pattern[1].replace("\\\\", "\\"))


def test_every_allocation_key_of_every_family_is_guarded(direct: Objects) -> None:
    named, pattern = guarded(find(direct, "ValidatingAdmissionPolicy", "hami-vendor-allocation"))
    lists = {key for p in Settings().devices.profiles() for key in (p.to_allocate_key, p.allocated_key) if key}
    common = {k for k in protocol.COMMON_WRITTEN_KEYS if not k.startswith(protocol.OWN_PREFIX)}
    assert {key for key in lists | common if key not in named and not pattern.search(key)} == set()


def test_others_are_warned_by_default_and_refused_with_the_strict_component(
    direct: Objects, with_components: Callable[..., Objects]
) -> None:
    def actions(objects: Objects) -> list[str]:
        binding = find(objects, "ValidatingAdmissionPolicyBinding", "hami-vendor-allocation")
        return binding["spec"]["validationActions"]

    assert actions(direct) == ["Warn", "Audit"]
    assert actions(with_components("strict")) == ["Deny", "Audit"]
