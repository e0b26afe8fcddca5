"""Every name and label that HAMi's dashboards and HAMi-WebUI rely on, as a scrape has them."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from hami_operator.telemetry import Telemetry
from tests.serving.stage import Stage, busy

from .names import CHANGING, CURRENT, DASHBOARDS, LEGACY, WEBUI_OWN
from .scrape import complaints, scrape

pytestmark = pytest.mark.asyncio

BOTH = {"generations": ["2.7", "2.10"], "legacy_labels": True}


def labels_of(family: object) -> set[frozenset[str]]:
    return {frozenset(sample.labels) for sample in family.samples}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("generation", "names"), [("2.10", CURRENT), ("2.7", LEGACY)])
async def test_a_generation_has_exactly_the_reference_labels_and_the_zone(
    generation: str, names: dict[str, set[str]]
) -> None:
    found = await scrape(busy().exposition(generations=[generation], legacy_labels=True))
    for name, labels in names.items():
        assert labels_of(found[name]) == {frozenset(labels | {"zone"})}, name
        assert {sample.labels["zone"] for sample in found[name].samples} == {"vGPU"}
    others = LEGACY if generation == "2.10" else CURRENT
    assert not others.keys() & found.keys()


async def test_without_the_switch_no_label_of_2_7_changes_with_an_allocation() -> None:
    stage = busy()
    found = await scrape(stage.exposition(generations=["2.7"]))
    for name, labels in LEGACY.items():
        assert labels_of(found[name]) == {frozenset(labels - CHANGING | {"zone"})}, name
    cores = {(s.labels["deviceuuid"], s.labels["devicecores"]) for s in found["nodeGPUOverview"].samples}
    assert {cores for _, cores in cores} == {"100"}


async def test_what_the_shipped_dashboards_ask_for_is_there() -> None:
    found = await scrape(busy().exposition(**BOTH))
    for wanted in DASHBOARDS.values():
        for name, labels in wanted.items():
            assert all(labels <= sample.labels.keys() for sample in found[name].samples), name


async def test_no_metric_bears_a_name_that_the_webui_exports_itself() -> None:
    found = (await scrape(busy().exposition(**BOTH))).keys()
    assert len(WEBUI_OWN) == 30
    assert not WEBUI_OWN & (found | set(Telemetry().registry._names_to_collectors))


async def test_the_build_is_told_without_a_zone() -> None:
    found = await scrape(Stage.empty().exposition())
    assert labels_of(found["hami_build_info"]) == {
        frozenset({"version", "revision", "build_date", "go_version", "compiler", "platform"})
    }


async def test_promtool_finds_nothing_but_names_of_the_reference() -> None:
    text = await busy().exposition(**BOTH).text()
    assert set(complaints(text + own())) <= LEGACY.keys() | {"hami_gpu_shared_count"}


async def test_promtool_accepts_the_default_metrics_but_for_one_name() -> None:
    text = await busy().exposition().text()
    assert complaints(text + own()) == ["hami_gpu_shared_count"]


def own() -> bytes:
    """Our own counters, each with a series."""
    telemetry = Telemetry()
    telemetry.decisions.labels("placed").inc()
    telemetry.refusals.labels("CardInsufficientMemory").inc()
    telemetry.binds.labels("Bound").inc()
    telemetry.requests.labels("GET", "pods", "200").inc()
    telemetry.resync_mended.labels("pods").inc()
    return generate_latest(telemetry.registry)
