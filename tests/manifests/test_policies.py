"""The admission policies know every annotation that gives cards to pods, and none that users write."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from hami_operator import config
from hami_operator.core import protocol
from webhook.catalogue import WRITTEN_PATTERN, written_keys

from .conftest import MANIFESTS, Objects, find

PROFILES = config.load(MANIFESTS / "base/config.yaml").devices.profiles()


def variable(policy: dict[str, Any], name: str) -> str:
    """The expression of a policy's variable."""
    (expression,) = [v["expression"] for v in policy["spec"]["variables"] if v["name"] == name]
    return str(expression)


def quoted(expression: str) -> list[str]:
    """The string literals of a CEL expression."""
    return [text.replace("\\\\", "\\") for text in re.findall(r"'([^']*)'", expression)]


def pattern(policy: dict[str, Any]) -> str:
    """What the policy looks for in keys beside those it names: the same in those written and those that vanish."""
    now, before = quoted(variable(policy, "guarded"))
    assert now == before
    return now


@pytest.fixture
def vendors(direct: Objects) -> dict[str, Any]:
    return find(direct, "ValidatingAdmissionPolicy", "hami-vendor-allocation")


def test_every_key_of_every_family_that_only_the_scheduler_writes_is_guarded(
    direct: Objects, vendors: dict[str, Any]
) -> None:
    keys, prefixes = written_keys(PROFILES)
    assert quoted(variable(vendors, "named")) == keys
    others = [re.escape(prefix).replace("\\-", "-") for prefix in prefixes if prefix != protocol.OWN_PREFIX]
    assert pattern(vendors) == f"^({'|'.join([*others, WRITTEN_PATTERN.removeprefix('^')])})"
    assert pattern(find(direct, "ValidatingAdmissionPolicy", "hami-own-allocation")) == protocol.OWN_PREFIX


def test_no_key_by_which_users_choose_is_guarded(vendors: dict[str, Any]) -> None:
    written, others = quoted(variable(vendors, "named")), re.compile(pattern(vendors))
    chosen = {key for profile in PROFILES for key in (*profile.selection.all(), *(profile.tenant_keys or ()))}
    chosen |= {protocol.CARD_POLICY, protocol.NODE_POLICY, "hami.io/gpu-topology", "huawei.com/vnpu-mode"}
    assert not chosen & set(written)
    assert not [key for key in chosen if key.startswith(protocol.OWN_PREFIX) or others.search(key)]


def test_others_are_warned_by_default_and_refused_with_the_strict_component(
    direct: Objects, with_components: Callable[..., Objects]
) -> None:
    def actions(objects: Objects) -> list[str]:
        binding = find(objects, "ValidatingAdmissionPolicyBinding", "hami-vendor-allocation")
        return binding["spec"]["validationActions"]

    assert actions(direct) == ["Warn", "Audit"]
    assert actions(with_components("strict")) == ["Deny", "Audit"]
