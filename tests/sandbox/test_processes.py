"""Processes carry the sandbox's mark, die with their starter where wanted, and are all found again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hami_operator.sandbox.errors import ProcessDied
from hami_operator.sandbox.processes import MARK, Launch, Processes, marked

_WAIT = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
DETACHED = Launch(attached=False)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.end_all()


def begun(processes: Processes, name: str) -> None:
    eventually(lambda: processes.log(name).exists() and "here" in processes.log(name).read_text(), f"{name} begins")


def test_a_process_is_found_by_its_mark_and_ended(processes: Processes) -> None:
    pid = processes.start("one", _WAIT, DETACHED)
    begun(processes, "one")
    assert list(marked(processes.folder)) == [pid]
    assert processes.runs(pid)
    processes.end_all()
    assert list(marked(processes.folder)) == []
    assert not processes.runs(pid)


def test_children_of_a_process_are_found_even_when_it_is_gone(processes: Processes) -> None:
    script = f"import subprocess; subprocess.Popen({_WAIT!r}, start_new_session=True)"
    processes.start("parent", [sys.executable, "-c", script], DETACHED)
    begun(processes, "parent")  # the child writes to the same log
    eventually(lambda: len(list(marked(processes.folder))) == 1, "only the grandchild is left")
    processes.end_all()
    assert list(marked(processes.folder)) == []


def test_a_pid_of_another_process_is_not_touched(processes: Processes, tmp_path: Path) -> None:
    other = Processes(tmp_path / "other")
    other.folder.mkdir()
    pid = other.start("theirs", _WAIT, DETACHED)
    begun(other, "theirs")
    processes.end(pid)
    assert other.runs(pid)
    other.end_all()


def test_an_attached_process_dies_with_its_starter(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hami_operator.sandbox.processes import Processes, Launch;"
        f"Processes(Path(sys.argv[1])).start('one', {_WAIT!r}, Launch(attached=True)); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE) as starter:
        begun(Processes(tmp_path), "one")
        assert len(list(marked(tmp_path))) == 1
        starter.kill()
    eventually(lambda: not any(marked(tmp_path)), "it dies")


def test_a_process_that_ended_is_reported_with_the_end_of_its_log(processes: Processes) -> None:
    processes.start("short", ["/bin/sh", "-c", "echo so long; exit 3"], DETACHED)

    def told() -> bool:
        processes.check("short")
        return False

    with pytest.raises(ProcessDied, match=r"(?s)short ended with status 3.*so long"):
        eventually(told, "it is reported")


def test_a_process_ended_on_purpose_is_not_reported(processes: Processes) -> None:
    pid = processes.start("one", _WAIT, DETACHED)
    begun(processes, "one")
    processes.end(pid)
    processes.check("one")


def test_temporary_files_go_into_the_sandboxs_folder(processes: Processes) -> None:
    script = "import tempfile, os; print('here', tempfile.gettempdir(), os.environ['" + MARK + "'], flush=True)"
    processes.start("one", [sys.executable, "-c", script], DETACHED)
    begun(processes, "one")
    assert processes.log("one").read_text().split() == ["here", str(processes.folder / "tmp"), str(processes.folder)]


def test_we_ourselves_are_never_among_the_marked(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from hami_operator.sandbox.processes import marked;"
        f"print(list(marked(Path({str(tmp_path)!r}))))"
    )
    environment = {**os.environ, MARK: str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
