"""What is wrong with a scenario, in sentences that name file, document, object, field, value and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence


class ScenarioError(Exception):
    """The scenario can't be used. ``problems`` holds one sentence per fault, in input order."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
