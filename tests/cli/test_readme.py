"""The README shows what is printed: its ``explain`` is that of the golden files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_explain_of_the_readme_is_what_the_command_says() -> None:
    golden = (ROOT / "tests" / "golden" / "commands" / "explain_pod_waits_wide.txt").read_text(encoding="utf-8")
    said, _, status = golden.rpartition("[status ")
    assert status == "1]\n"
    assert f"```\n{said}```\n" in (ROOT / "README.md").read_text(encoding="utf-8")
