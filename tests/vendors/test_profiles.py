"""A vendor is a file of facts and at most ten hooks, and stays one that is read in one sitting."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.request import read_request, registered_devices, registered_whole_devices
from hami_operator.core.vendor import Hooks, Profile, read_shares
from hami_operator.vendors import VENDORS

#: What one vendor may do in its own way, and how long its file may be.
MOST_HOOKS, MOST_LINES = 10, 250

#: Ways of reading requests and cards that are no hook of a vendor's own.
ORDINARY = (read_request, registered_devices, registered_whole_devices, read_shares)


@pytest.mark.parametrize("profile", DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles(), ids=lambda p: p.key)
def test_a_family_has_at_most_ten_hooks_of_its_own(profile: Profile) -> None:
    usual = Hooks()
    own = [f.name for f in fields(Hooks) if getattr(profile.hooks, f.name) is not getattr(usual, f.name)]
    own += [name for name in ("request_of", "inventory_of", "shares_of") if getattr(profile, name) not in ORDINARY]
    assert len(own) <= MOST_HOOKS, own


@pytest.mark.parametrize("module", VENDORS, ids=lambda module: module.SECTION)
def test_a_vendors_file_is_short(module: Any) -> None:
    assert len(inspect.getsource(module).splitlines()) < MOST_LINES
