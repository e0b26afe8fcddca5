"""Starting, finding and ending the processes of a sandbox.

Every process carries the sandbox's folder in its environment, and so do its children: that mark alone decides what
belongs to a sandbox, so nothing is missed after ``kill -9`` of whoever started them, and no reused pid is hit.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import launch
from .errors import ProcessDied, TimedOut

#: The environment variable that marks a process; its value is the sandbox's folder.
MARK = "HAMI_OPERATOR_SANDBOX"

#: Seconds for processes to be gone once they were told to end.
GONE_S = 10.0
_LOG_TAIL = 20


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process begins: in which mount namespace, and whether it dies with the one that starts it.

    ``kubelet_root`` becomes its /var/lib/kubelet; ``join`` is the pid whose mount namespace it enters; ``host`` is its
    host name (empty: the machine's).
    """

    kubelet_root: Path | None = None
    join: int | None = None
    attached: bool = True
    host: str = ""

    def command(self, command: Sequence[str]) -> list[str]:
        """The whole command line."""
        options = []
        if self.attached:
            options += ["--parent", str(os.getpid())]
        if self.kubelet_root is not None:
            options += ["--kubelet-root", str(self.kubelet_root)]
        if self.join is not None:
            options += ["--join", str(self.join)]
        if self.host:
            options += ["--hostname", self.host]
        return [sys.executable, "-I", "-S", launch.__file__, *options, "--", *command]


@dataclass(slots=True)
class Processes:
    """The processes of the sandbox in ``folder``; those started through this object can be watched by name."""

    folder: Path
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], how: Launch, environment: Mapping[str, str] | None = None
    ) -> int:
        """Start a process in a session of its own, its output in ``logs/NAME.log``; its pid."""
        (self.folder / "logs").mkdir(exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        marked = {**os.environ, "TMPDIR": str(self.folder / "tmp"), **(environment or {}), MARK: str(self.folder)}
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                how.command(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=marked,
                cwd="/",
                start_new_session=True,
            )
        self._started[name] = process
        return process.pid

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self.folder / "logs" / f"{name}.log"

    def check(self, name: str) -> None:
        """Raise ProcessDied, with the end of its log, when a process started here has ended."""
        process = self._started.get(name)
        if process is not None and process.poll() is not None:
            raise ProcessDied(f"{name} ended with status {process.returncode}; its log ends:\n{self.tail(name)}")

    def tail(self, name: str) -> str:
        """The last lines of a process's log."""
        try:
            lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(lines[-_LOG_TAIL:])

    def runs(self, pid: int) -> bool:
        """Whether a process of this sandbox has this pid."""
        return _has_mark(pid, self.folder)

    def end(self, pid: int) -> None:
        """Kill one process of this sandbox and wait until it is gone; one that is no more, or another's, is left."""
        kill_all([pid], self.folder)
        self._forget(pid)

    def ask_to_end(self, pid: int) -> None:
        """Have one process end in its own way, and wait until it is gone. Raises TimedOut."""
        kill_all([pid], self.folder, signal.SIGTERM)
        self._forget(pid)

    def _forget(self, pid: int) -> None:
        self._reap()
        self._started = {name: process for name, process in self._started.items() if process.pid != pid}

    def end_all(self) -> None:
        """Kill every process of this sandbox, whoever started it, and wait until all are gone."""
        while pids := list(marked(self.folder)):
            kill_all(pids, self.folder)
            self._reap()

    def _reap(self) -> None:
        for process in self._started.values():
            process.poll()


def marked(folder: Path) -> Iterator[int]:
    """Pids of the processes that carry this folder's mark, but for ourselves."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _has_mark(int(entry.name), folder):
            yield int(entry.name)


def _has_mark(pid: int, folder: Path) -> bool:
    wanted = f"{MARK}={folder}".encode()
    try:
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def kill_all(pids: Sequence[int], folder: Path, how: signal.Signals = signal.SIGKILL) -> None:
    """Kill these processes where they carry the mark. Raises TimedOut when one does not go."""
    handles = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            handles.append(handle)
            if _has_mark(pid, folder):  # looked at while the handle holds the pid: it can't be another process by now
                signal.pidfd_send_signal(handle, how)
            else:
                handles.remove(handle)
                os.close(handle)
    try:
        _await_exit(handles, how)
    finally:
        for handle in handles:
            os.close(handle)


def _await_exit(handles: Sequence[int], how: signal.Signals) -> None:
    deadline = time.monotonic() + GONE_S
    left = set(handles)
    while left:
        readable, _, _ = select.select(list(left), [], [], max(deadline - time.monotonic(), 0))
        if not readable:
            raise TimedOut(f"{len(left)} processes of the sandbox do not end after {how.name}")
        left -= set(readable)
