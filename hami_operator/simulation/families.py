"""Which families are in force: the settings, or the ConfigMap with which HAMi's own chart configures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from hami_operator.config import ConfigError, DevicesSection, parse_devices
from hami_operator.core import fields
from hami_operator.core.errors import ObjectError
from hami_operator.core.vendor import Profile

from .entries import Entry
from .errors import ScenarioError
from .scenario import DEVICE_CONFIG


class Families:
    """The families of many scenarios: one set of profiles per configuration, since they are compared by identity."""

    def __init__(self, devices: DevicesSection) -> None:
        self._default = devices.profiles()
        self._configured: dict[str, tuple[Profile, ...]] = {}

    def in_force(self, configs: Sequence[Entry], impossible: list[str]) -> tuple[Profile, ...]:
        """The families of one scenario. Of several ConfigMaps the first counts, the others are told as impossible.

        Raises:
            ScenarioError: the ConfigMap's text is no YAML mapping, or holds a value that is not allowed.
        """
        for extra in configs[1:]:
            allowed = f"the only ConfigMap with a {DEVICE_CONFIG}, {configs[0].place} has one too"
            impossible.append(extra.wrong("data", extra.name, allowed))
        if not configs:
            return self._default
        entry = configs[0]
        try:
            return self._of(fields.text(fields.mapping(entry.content, "data"), DEVICE_CONFIG, "data."))
        except (ConfigError, ObjectError, yaml.YAMLError) as error:
            raise ScenarioError([f"{entry}: {' '.join(str(error).split())}"]) from None

    def _of(self, text: str) -> tuple[Profile, ...]:
        """Raises ConfigError, YAMLError."""
        if text not in self._configured:
            source = f"data[{DEVICE_CONFIG}]"
            content = yaml.safe_load(text)
            if not isinstance(content, Mapping):
                raise ConfigError(f"{source}: {text[:40]!r} is not a YAML mapping of vendors to settings")
            self._configured[text] = parse_devices(content, source).profiles()
        return self._configured[text]
