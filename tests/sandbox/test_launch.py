"""A /var/lib/kubelet of one's own, as root and in a user namespace."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hami_operator.sandbox import launch, no_hollow_nodes

SCRIPT = [sys.executable, "-I", "-S", launch.__file__]

if (_why := no_hollow_nodes()) is not None:
    pytest.skip(f"mount namespaces can't be had here: {_why}", allow_module_level=True)


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SCRIPT, *arguments], capture_output=True, text=True, **more)  # type: ignore[call-overload, no-any-return]


def test_the_command_sees_the_folder_and_the_machine_does_not(tmp_path: Path) -> None:
    before = os.path.exists(launch.KUBELET)
    root = tmp_path / "root"
    root.mkdir()
    done = run("--kubelet-root", str(root), "--", "sh", "-c", f"echo hello > {launch.KUBELET}/file; ls /var/lib")
    assert done.returncode == 0, done.stderr
    assert (root / "file").read_text() == "hello\n"
    assert set(os.listdir("/var/lib")) <= set(done.stdout.split())
    assert os.path.exists(launch.KUBELET) is before
    assert str(root) not in Path("/proc/self/mountinfo").read_text()


def test_looking_whether_it_can_be_had_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert no_hollow_nodes.__wrapped__() is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_command_joins_the_first_ones_view(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("seen")
    script = "echo ready; read line"
    first = subprocess.Popen(
        [*SCRIPT, "--kubelet-root", str(root), "--", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        assert run("--join", str(first.pid), "--", "cat", f"{launch.KUBELET}/file").stdout == "seen"
        first.kill()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try what another user sees")
@pytest.mark.skipif(
    Path("/proc/sys/user/max_user_namespaces").read_text().strip() == "0", reason="no user namespaces on this machine"
)
def test_an_ordinary_user_gets_it_through_a_user_namespace(open_folder: Path) -> None:
    script = open_folder / "launch.py"
    script.write_text(Path(launch.__file__).read_text())
    root = open_folder / "root"
    for folder in (open_folder, root):
        folder.mkdir(exist_ok=True)
        os.chown(folder, 65534, 65534)
    command = [
        *("/usr/bin/env", "python3", "-I", "-S", str(script)),
        *("--kubelet-root", str(root), "--", "touch", f"{launch.KUBELET}/file"),
    ]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, user=65534, group=65534, extra_groups=[]
    )
    if "python3" in done.stderr and done.returncode == 127:
        pytest.skip("other users have no python3 here")
    assert done.returncode == 0, done.stderr
    assert (root / "file").stat().st_uid == 65534


def test_a_command_whose_starter_is_gone_is_not_begun() -> None:
    done = run("--parent", "1", "--", "echo", "never")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the starter is gone" in done.stderr
