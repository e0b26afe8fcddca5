"""Instances on disk: names, state, and who may start one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hami_operator.sandbox.errors import AlreadyRunning, BadSpec, NotRunning
from hami_operator.sandbox.instance import Instance, NodeState, State, default_parent, instances


@pytest.mark.parametrize("name", ["", "Up", "a/b", "..", "-a", "a-", "x" * 41])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSpec, match="is not allowed: lower case"):
        Instance.of(name, tmp_path)


def test_state_is_written_and_read_back(tmp_path: Path) -> None:
    instance = Instance.of("one", tmp_path)
    instance.create()
    node = NodeState("t4-0", "t4", 2, "hollow", "2.7", kubelet_pid=7)
    instance.write(State("one", url="https://x", nodes=[node]))
    assert instance._read() == State("one", url="https://x", nodes=[node])
    assert [found.name for found in instances(tmp_path)] == ["one"]


def test_a_folder_without_processes_is_not_running_and_is_cleared(tmp_path: Path) -> None:
    instance = Instance.of("one", tmp_path)
    instance.create()
    instance.write(State("one", ready=True))
    with pytest.raises(NotRunning, match="no running sandbox 'one'"):
        instance.read()
    (instance.folder / "leftover").touch()
    instance.create()
    assert list(instance.folder.iterdir()) == []
    assert instance.clear() is True
    assert instance.clear() is False


def test_only_one_at_a_time_starts_or_clears_an_instance(tmp_path: Path) -> None:
    instance = Instance.of("one", tmp_path)
    with instance.locked():
        with pytest.raises(AlreadyRunning, match="by another process"), Instance.of("one", tmp_path).locked():
            pytest.fail("both are in")
        with Instance.of("two", tmp_path).locked():
            pass
    with instance.locked():
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_parent() == tmp_path / "hami-operator" / "sandboxes"
