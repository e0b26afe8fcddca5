"""The journal and the verdict that is read from it."""

from __future__ import annotations

from pathlib import Path

from hami_operator.core.model import ContainerKind, Share
from hami_operator.sandbox.checker import Claim
from hami_operator.sandbox.journal import Journal, verdict

CLAIM = Claim("default/p", "uid-p", 1, "main", ContainerKind.APP, (Share("GPU-a", "NVIDIA", 3000, 30),))


def test_what_was_given_out_is_read_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.allocated("n1", CLAIM)
    journal.allocated("n2", CLAIM)
    assert list(journal.claims("n1")) == [CLAIM]


def test_a_line_that_a_killed_writer_left_unfinished_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.allocated("n1", CLAIM)
    with journal.path.open("a") as file:
        file.write('{"event":"allocated","node":')
    assert list(journal.claims("n1")) == [CLAIM]


def test_the_verdict_is_good_while_nothing_was_given_beyond_a_card(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.allocated("n1", CLAIM)
    journal.failed("n2", "no pod found")
    found = verdict(["n1", "n2", "n3"], [journal.path, tmp_path / "none"])
    assert found.ok
    assert str(found) == "1 allocations on 3 nodes checked, no card was ever given beyond what it has"
    assert found.nodes["n2"].failures == ["no pod found"]


def test_the_verdict_tells_every_violation_and_its_node(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.violated("n1", "too much")
    found = verdict(["n1"], [journal.path])
    assert not found.ok
    assert found.violations == ["node n1: too much"]
    assert "1 VIOLATIONS" in str(found)
    assert "too much" in str(found)
