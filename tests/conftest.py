"""How hypothesis searches (``ci`` is quick and the same for everybody, ``deep`` takes its time), and who runs what.

``HYPOTHESIS_PROFILE=deep python -m pytest tests/core tests/vendors``
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile(
    "ci", derandomize=True, max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=_FINE
)
settings.register_profile("deep", max_examples=500, stateful_step_count=60, deadline=None, suppress_health_check=_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

CLUSTER = Path(__file__).parent / "cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several workers: a folder of cluster tests shares one sandbox, so one worker has all of it; those go first."""
    for item in items:
        if item.path.is_relative_to(CLUSTER):
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(CLUSTER).parts[0]))
    items.sort(key=lambda item: not item.path.is_relative_to(CLUSTER))
