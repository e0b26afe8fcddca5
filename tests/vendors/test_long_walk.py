"""A long random walk over every family at once; ``python -m tests.vendors.walk`` walks as far as one likes."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from hami_operator.core.vendor import Check

from .walk.drawing import Kind, all_kinds
from .walk.steps import walk
from .walk.world import Broken

PLACEMENTS = int(os.environ.get("HAMI_WALK_STEPS", "1500"))
SEED = 1


@pytest.mark.timeout(3600)
def test_placements_of_all_families_keep_every_rule() -> None:
    assert walk(all_kinds(SEED), PLACEMENTS, SEED)["placed"] == PLACEMENTS


def leaving_out(kind: Kind, check: Check) -> Kind:
    profile = kind.family.profile
    checks = tuple(one for one in profile.checks if one is not check)
    return Kind(replace(kind.family, profile=replace(profile, checks=checks)), SEED)


@pytest.mark.parametrize("check", [Check.HEALTH, Check.CORDON, Check.SLOTS, Check.MEMORY, Check.CORES])
def test_a_check_that_is_left_out_is_found(check: Check) -> None:
    with pytest.raises(Broken):
        walk([leaving_out(kind, check) for kind in all_kinds(SEED)], PLACEMENTS, SEED)
