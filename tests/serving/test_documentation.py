"""docs/metrics.md names what is exported, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hami_operator.telemetry import Telemetry
from tests.serving.metrics.names import CURRENT, LEGACY
from tests.serving.metrics.scrape import scrape
from tests.serving.stage import busy

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.asyncio
async def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    text = (DOCS / "metrics.md").read_text()
    exported = {name for name in Telemetry().registry._names_to_collectors if not name.endswith("_created")}
    exported |= {sample.name for family in (await scrape(busy().exposition())).values() for sample in family.samples}
    ours = {name for name in exported if name.startswith("hami_operator_")}
    documented = set(re.findall(r"`(hami_operator_[a-z_]+)`", text))
    assert documented <= ours
    parts = ("_bucket", "_sum", "_count")
    counters = {name.removesuffix("_total") for name in ours if name.endswith("_total")}
    assert {name for name in ours - counters if not name.endswith(parts)} == documented
    for name in [*CURRENT, *LEGACY, "hami_build_info", "hami_node_gpu_mig_instance_info", "nodeGPUMigInstance"]:
        assert f"`{name}`" in text, name


def test_the_picture_is_small_enough_for_a_readme() -> None:
    assert (DOCS / "overview.png").stat().st_size < 200_000
