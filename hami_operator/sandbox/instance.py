"""An instance of the sandbox on disk: its folder, and the state from which any process can find its parts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from .errors import AlreadyRunning, BadSpec, NotRunning
from .processes import Processes, marked

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(slots=True)
class NodeState:
    """One node as it was asked for, and the process that plays its kubelet (0: none, or the simulator)."""

    name: str
    card: str
    cards: int
    kind: str
    release: str
    kubelet_pid: int = 0
    plugin_pid: int = 0


@dataclass(slots=True)
class State:
    """What ``state.json`` holds. ``ready`` is false while the sandbox is being started."""

    name: str
    binaries: str = ""
    url: str = ""
    token: str = ""
    created: float = 0.0
    attached: bool = True
    ready: bool = False
    nodes: list[NodeState] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Instance:
    """The folder of one named sandbox."""

    name: str
    folder: Path

    @classmethod
    def of(cls, name: str, parent: Path | None = None) -> Self:
        """The instance of this name under ``parent`` (default: the user's state folder). Raises BadSpec."""
        if not _NAME.fullmatch(name):
            raise BadSpec(f"sandbox name {name!r} is not allowed: lower case letters, digits and inner '-', at most 40")
        return cls(name, (parent or default_parent()).resolve() / name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def processes(self) -> Processes:
        """Its processes, for one who did not start them."""
        return Processes(self.folder)

    def read(self) -> State:
        """The state. Raises NotRunning when there is none, or when its processes are gone."""
        state = self._read()
        if state is None or not state.ready or not any(marked(self.folder)):
            raise NotRunning(f"there is no running sandbox {self.name!r} (hami-operator sandbox up starts one)")
        return state

    def _read(self) -> State | None:
        try:
            record: dict[str, Any] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        nodes = [NodeState(**node) for node in record.pop("nodes")]
        return State(**record, nodes=nodes)

    def write(self, state: State) -> None:
        """Replace the state in one step."""
        unfinished = self.folder / "state.json.new"
        unfinished.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        os.replace(unfinished, self.folder / "state.json")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone at starting or clearing this instance. Raises AlreadyRunning while another process is at it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        path = self.folder.with_suffix(".lock")
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._busy() from None
            if not path.exists() or os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                raise self._busy()  # the one before us has just finished and taken the file away
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def _busy(self) -> AlreadyRunning:
        return AlreadyRunning(f"sandbox {self.name!r} is being started or cleared by another process")

    def create(self) -> None:
        """Make the folder, after clearing what a killed sandbox left. Raises AlreadyRunning when it runs."""
        try:
            self.read()
        except NotRunning:
            self.clear()
        else:
            raise AlreadyRunning(f"sandbox {self.name!r} is running already (hami-operator sandbox down ends it)")
        self.folder.mkdir(parents=True, mode=0o700)

    def clear(self) -> bool:
        """End every process and remove every file; whether there was anything. Safe at any time, also twice."""
        found = self.folder.exists() or any(marked(self.folder))
        self.processes.end_all()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        return found


def default_parent() -> Path:
    """``$XDG_STATE_HOME/hami-operator/sandboxes``."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "hami-operator" / "sandboxes"


def instances(parent: Path | None = None) -> list[Instance]:
    """All instances that have a folder, by name."""
    folder = parent or default_parent()
    if not folder.is_dir():
        return []
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))
    return [Instance.of(name, parent) for name in names]
