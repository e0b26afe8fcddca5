"""What the processes that play nodes are told: JSON files. Paths are absolute."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


class _Config:
    """Written by the sandbox, read by the process."""

    def write(self, path: Path) -> None:
        """Write it as the process reads it."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")  # type: ignore[call-overload]

    @classmethod
    def read(cls, path: str) -> Self:
        """Read what ``write`` wrote."""
        fields: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(**fields)


@dataclass(frozen=True)
class PluginConfig(_Config):
    """The plugin process of a hollow node."""

    node: str
    card: str
    cards: int
    release: str
    kubeconfig: str
    journal: str
    address_file: str


@dataclass(frozen=True)
class SimulatorConfig(_Config):
    """The process of all simulated nodes."""

    kubeconfig: str
    journal: str
    address_file: str
