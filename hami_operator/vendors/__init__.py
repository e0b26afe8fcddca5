"""The families we know, as an explicit ordered tuple. A new vendor is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hami_operator.core.vendor import Profile

from . import (
    amd,
    ascend,
    awsneuron,
    biren,
    cambricon,
    enflame,
    enflame_drs,
    hygon,
    iluvatar,
    kunlun_vxpu,
    kunlun_xpu,
    metax_gpu,
    metax_sgpu,
    mthreads,
    nvidia,
    vastai,
    volcano,
)

#: Modules in the fixed order in which families are considered (HAMi v2.7.0 pkg/device/devices.go InitDevices; those of
#: v2.10 before Ascend, whose chips come last).
VENDORS = (
    nvidia,
    cambricon,
    hygon,
    iluvatar,
    enflame,
    enflame_drs,
    mthreads,
    metax_gpu,
    metax_sgpu,
    kunlun_xpu,
    kunlun_vxpu,
    awsneuron,
    amd,
    biren,
    vastai,
    ascend,
    volcano,
)


def profiles(sections: Mapping[str, Mapping[str, Any]]) -> tuple[Profile, ...]:
    """The profiles in force, in order.

    ``sections`` is the device configuration, one mapping per ``SECTION`` name of a vendor module; a vendor without a
    section is not in force. Modules that share a section take from it what their ``Settings`` name.
    """
    return tuple(
        profile
        for module in VENDORS
        if module.SECTION in sections
        for profile in module.profiles(_settings(module.Settings, sections[module.SECTION]))
    )


def _settings(kind: Any, section: Mapping[str, Any]) -> Any:
    return kind(**{field.name: section[field.name] for field in fields(kind) if field.name in section})
