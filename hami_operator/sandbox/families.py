"""Settings under which operator and webhook know the families of a sandbox: some are in force when named alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from .cards import card_type


def settings(base: Path, types: Iterable[str], folder: Path) -> Path:
    """A settings file for these card types: ``base`` itself, or one in ``folder`` that names more families."""
    sections = sorted({section for name in types if (section := card_type(name).habits.section)})
    if not sections:
        return base
    content = yaml.safe_load(base.read_text(encoding="utf-8"))
    devices = content.setdefault("devices", {})
    for section in sections:
        devices.setdefault(section, {})
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
