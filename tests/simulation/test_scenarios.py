"""Every scenario file of the suite, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.expectation import check_file, differences

SCENARIOS = Path(__file__).parents[1] / "scenarios"


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_scenario_ends_as_its_expectation_says(file: Path, tmp_path: Path) -> None:
    check_file(file, tmp_path)


def test_the_matcher_finds_what_is_missing_surplus_and_different() -> None:
    found = {"pods": [{"name": "a", "devices": [1, 2], "node": "n1"}], "text": "some text"}
    assert differences("r", {"pods": [{"name": "a", "node": "n1", "score": None}]}, found) == []
    assert differences("r", {"pods": [{"name": "b"}]}, found) == ["r.pods[b]: there are 0 of them"]
    assert differences("r", {"pods": [{"name": "a", "devices": [1]}]}, found) == [
        "r.pods[a].devices: [1, 2] has not 1 items"
    ]
    assert differences("r", {"pods": [{"name": "a", "node": None}]}, found) == ["r.pods[a].node: 'n1' is not None"]
    assert differences("r", {"text": {"contains": "other"}}, found) == ["r.text: 'some text' does not contain 'other'"]
    assert differences("r", {"text": {"deep": 1}}, found) == ["r.text: 'some text' is no mapping"]
