"""Worked examples as data, one file a topic, and the reader that the tests replay them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent


def rows(file: str, section: str) -> list[Any]:
    """The examples of one section, as parameters named after the example."""
    found = yaml.safe_load((HERE / file).read_text())[section]
    assert found, f"{file} has no examples under {section}"
    return [pytest.param(row, id=str(row["name"]).replace(" ", "-")) for row in found]
