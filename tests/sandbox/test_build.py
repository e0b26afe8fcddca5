"""Which Go builds the control plane. The build itself is what every cluster test stands on."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from hami_operator.sandbox import build
from hami_operator.sandbox.errors import BuildFailed

QUIET = Console(quiet=True)


def go_on_path(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> str:
    go = folder / "path" / "go"
    go.parent.mkdir()
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    return str(go)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Go as the Python package would have put it into the cache before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    go = tmp_path / "hami-operator" / "go" / "go" / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.touch()
    return str(go)


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.30", "go2.0"])
@pytest.mark.usefixtures("packaged")
def test_go_from_the_path_is_taken_when_it_is_new_enough(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = go_on_path(tmp_path, version, monkeypatch)
    assert build._go(QUIET) == on_path


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "garbage"])
def test_an_older_go_is_passed_over_for_the_packaged_one(
    tmp_path: Path, packaged: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on_path(tmp_path, version, monkeypatch)
    assert build._go(QUIET) == packaged


def test_a_build_that_fails_says_what_go_said() -> None:
    with pytest.raises(BuildFailed, match="cannot compile this"):
        build._run(["sh", "-c", "echo cannot compile this >&2; exit 1"], lambda _: None)


def test_each_line_of_progress_is_seen_and_the_output_returned() -> None:
    seen: list[str] = []
    assert build._run(["sh", "-c", "echo k8s.io/api >&2; echo done"], seen.append) == ["done"]
    assert seen == ["k8s.io/api\n"]


def test_the_version_of_kubernetes_is_that_of_go_mod() -> None:
    assert build._kubernetes_version().startswith("v1.")


def test_a_finished_build_of_another_process_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    target = tmp_path / "hami-operator" / "controlplane" / "abc" / "controlplane"
    target.parent.mkdir(parents=True)
    target.write_text("built")
    monkeypatch.setenv("PATH", "")  # a build would fail
    build.build(target)
    assert target.read_text() == "built"


def test_what_a_killed_build_left_is_gone_after_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    go = go_on_path(tmp_path, "go1.26.0", monkeypatch)
    Path(go).write_text('#!/bin/sh\ncase $1 in\n  env) echo go1.26.0 ;;\n  build) echo built > "$7" ;;\nesac\n')
    target = tmp_path / "hami-operator" / "controlplane" / "abc" / "controlplane"
    target.parent.mkdir(parents=True)
    target.with_name("controlplane.unfinished").write_text("hal")
    build.build(target)
    assert target.read_text() == "built\n"
    assert list(target.parent.iterdir()) == [target]
