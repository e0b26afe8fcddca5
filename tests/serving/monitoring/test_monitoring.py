"""What manifests/monitoring ships: rules that fire when they should, and a dashboard that asks for what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hami_operator.telemetry import Telemetry
from tests.serving.metrics.names import CURRENT
from tests.serving.metrics.scrape import promtool, scrape
from tests.serving.stage import busy

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "manifests" / "monitoring"

RULES = yaml.safe_load((SHIPPED / "rules.yaml").read_text())["spec"]
DASHBOARD = json.loads((SHIPPED / "dashboard.json").read_text())


def expressions() -> list[str]:
    """Every query of the dashboard, its variables filled in."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [expr.replace("$node", ".*").replace("$namespace", ".*") for expr in found]


def names(expression: str) -> set[str]:
    """The metrics that a query names."""
    return set(re.findall(r"\b(?:hami|process)_[a-z_]+\b", expression))


def run(*command: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def test_every_alert_fires_when_it_should_and_none_without_a_reason(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    shutil.copy(HERE / "rules_test.yaml", tmp_path)
    outcome = run(promtool(), "test", "rules", tmp_path / "rules_test.yaml")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_every_alert_says_what_to_do() -> None:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "action"}, rule["alert"]
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_every_query_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{index}", "expr": expr} for index, expr in enumerate(expressions())]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    outcome = run(promtool(), "check", "rules", tmp_path / "queries.yaml")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert len(rules) > 25


@pytest.mark.asyncio
async def test_rules_and_dashboard_ask_only_for_metrics_that_are_exported() -> None:
    telemetry = Telemetry().registry
    exported = set(CURRENT) | set(telemetry._names_to_collectors) | {family.name for family in telemetry.collect()}
    for family in (await scrape(busy().exposition())).values():
        exported |= {family.name, *(sample.name for sample in family.samples)}
    asked = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]] + expressions()
    variables = [variable["query"] for variable in DASHBOARD["templating"]["list"]]
    for expression in asked + variables:
        assert names(expression) <= exported, expression


def test_no_panel_shares_its_place_with_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_ratios_are_drawn_as_parts_of_one() -> None:
    for panel in DASHBOARD["panels"]:
        if "ratio" in panel["targets"][0]["expr"]:
            assert panel["fieldConfig"]["defaults"]["unit"] == "percentunit", panel["title"]
