"""Which families are in force: the settings, or the ConfigMap with which HAMi's own chart configures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import yaml
from pydantic import ValidationError

from hami_operator.config import DevicesSection
from hami_operator.core import fields
from hami_operator.core.errors import ObjectError
from hami_operator.core.vendor import Profile

from .entries import Entry
from .errors import ScenarioError
from .scenario import DEVICE_CONFIG


def families_in_force(devices: DevicesSection, configs: Sequence[Entry], impossible: list[str]) -> tuple[Profile, ...]:
    """The families in force. Of several ConfigMaps the first counts, and the others are told as impossible.

    Raises:
        ScenarioError: the ConfigMap's text is no YAML mapping, or holds a value that is not allowed.
    """
    for extra in configs[1:]:
        allowed = f"the only ConfigMap with a {DEVICE_CONFIG}, {configs[0].place} has one too"
        impossible.append(extra.wrong("data", extra.name, allowed))
    if not configs:
        return _profiles(devices, "")
    entry = configs[0]
    try:
        return _profiles(devices, fields.text(fields.mapping(entry.content, "data"), DEVICE_CONFIG, "data."))
    except (ValueError, ObjectError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise ScenarioError([f"{entry}: data[{DEVICE_CONFIG}]: {text}"]) from None


@lru_cache(maxsize=64)
def _profiles(devices: DevicesSection, text: str) -> tuple[Profile, ...]:
    """One set of profiles per configuration: they are compared by identity. Raises ValueError, YAMLError."""
    content = yaml.safe_load(text) if text else {}
    if not isinstance(content, Mapping):
        raise ValueError(f"{text[:40]!r} is not a YAML mapping of vendors to settings")
    try:
        return DevicesSection.model_validate({**dict(devices), **content}).profiles()
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field}: {first['input']!r}: {first['msg']}") from None
