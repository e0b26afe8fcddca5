"""The families we know, as an explicit ordered tuple. A new vendor is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hami_operator.core.vendor import Profile

from . import nvidia

#: Modules in the fixed order in which families are considered (HAMi v2.7.0 pkg/device/devices.go InitDevices).
VENDORS = (nvidia,)


def profiles(sections: Mapping[str, Mapping[str, Any]]) -> tuple[Profile, ...]:
    """The profiles in force, in order.

    ``sections`` is the device configuration, one mapping per vendor module under its ``SECTION`` name; a vendor
    without a section is not in force.
    """
    return tuple(
        profile
        for module in VENDORS
        if module.SECTION in sections
        for profile in module.profiles(module.Settings(**sections[module.SECTION]))
    )
