"""How hypothesis searches: ``ci`` is quick and the same for everybody, ``deep`` takes its time.

``HYPOTHESIS_PROFILE=deep python -m pytest tests/core tests/vendors``
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile(
    "ci", derandomize=True, max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=_FINE
)
settings.register_profile("deep", max_examples=500, stateful_step_count=60, deadline=None, suppress_health_check=_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
