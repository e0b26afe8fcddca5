"""Following ``device-config.yaml``: a good file takes effect at once, a bad one is told and the last good one stays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from hami_operator.config import ConfigError, DevicesSection, read_devices

log = logging.getLogger(__name__)

#: Seconds between two looks; the kubelet itself takes up to a minute to bring a changed ConfigMap.
LOOK_SECONDS = 5.0


class DeviceConfig:
    """One file. ``problem`` is what is wrong with it now, empty when it is in force."""

    def __init__(self, path: Path, in_force: DevicesSection) -> None:
        self.problem = ""
        self._path = path
        self._in_force = in_force

    def look(self) -> DevicesSection | None:
        """Read the file; the new configuration when it differs from the one in force and is good."""
        try:
            found = read_devices(self._path)
        except ConfigError as error:
            if str(error) != self.problem:
                log.error("%s; the last good configuration stays in force", error)
            self.problem = str(error)
            return None
        self.problem = ""
        if found == self._in_force:
            return None
        self._in_force = found
        return found

    async def follow(self, use: Callable[[DevicesSection], Awaitable[None]], complain: Callable[[str], None]) -> None:
        """Look for ever: ``use`` what is new and good, ``complain`` once about what is bad."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            before = self.problem
            found = self.look()
            if found is not None:
                log.info("%s has changed and is in force", self._path)
                await use(found)
            elif self.problem and self.problem != before:
                complain(self.problem)
