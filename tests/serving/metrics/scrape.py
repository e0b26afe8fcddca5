"""A scrape read as Prometheus reads it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from hami_operator.serving.metrics.exposition import Exposition


async def scrape(exposition: Exposition) -> dict[str, Metric]:
    text = (await exposition.text()).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(families: dict[str, Metric], name: str, **labels: str) -> list[float]:
    """The values of the series that bear these labels."""
    return [s.value for s in families[name].samples if labels.items() <= s.labels.items()]


def promtool() -> str:
    """The program, which Debian's package ``prometheus`` brings. In CI it has to be there."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed: apt-get install prometheus")
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


def complaints(text: bytes) -> list[str]:
    """The names that ``promtool check metrics`` complains about."""
    run = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True)
    return [line.split()[0] for line in run.stderr.decode().splitlines()]
