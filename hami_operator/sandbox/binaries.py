"""Where the Kubernetes components come from, and in which order they are looked for.

1. the folder ``KUBEBUILDER_ASSETS``, 2. ``PATH``, 3. the cache, by content, 4. a build from Go modules into the cache.

A place counts only if it holds **every** component that is asked for: mixed versions of API server, controllers and
kubelet are nothing anybody tests. A file ``controlplane`` (our own build, see ``controlplane/``) holds them all. Since
the hollow node is in no distribution, a sandbox with hollow nodes takes the first two places only where they hold
``controlplane``; one with simulated nodes alone takes a complete set of anybody's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import SandboxError

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
SCHEDULER = "kube-scheduler"
HOLLOW_NODE = "hollow-node"

EVERYTHING = (*CONTROL_PLANE, SCHEDULER, HOLLOW_NODE)

#: The one file that is all components.
ALL_IN_ONE = "controlplane"

SOURCES = Path(__file__).parent / "controlplane"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The executable of each component, those found beyond what was asked for as well, and where they are from."""

    paths: Mapping[str, Path]
    origin: str

    def link_into(self, folder: Path) -> None:
        """Make a folder with one link per component, called by its name (the all-in-one file goes by that)."""
        folder.mkdir(exist_ok=True)
        for name, path in self.paths.items():
            (folder / name).symlink_to(path)


def find(needed: Iterable[str], build: Callable[[Path], None]) -> Binaries:
    """Find, or have built, the ``needed`` components. ``build`` makes the all-in-one file at the path it is given."""
    needed = tuple(needed)
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (found := _complete(needed, lambda name: _executable(Path(assets) / name))):
        return Binaries(found, "KUBEBUILDER_ASSETS")
    if found := _complete(needed, _on_path):
        return Binaries(found, "PATH")
    cached = cached_path()
    if _executable(cached) is None:
        build(cached)
        if _executable(cached) is None:
            raise SandboxError(f"the build left no executable at {cached}")
    return Binaries(dict.fromkeys(EVERYTHING, cached), "cache")


def _complete(needed: tuple[str, ...], look: Callable[[str], Path | None]) -> dict[str, Path] | None:
    everything = look(ALL_IN_ONE)
    if everything is not None:
        return dict.fromkeys(EVERYTHING, everything)
    found = {name: path for name in EVERYTHING if (path := look(name)) is not None}
    return found if found.keys() >= set(needed) else None


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).resolve() if found else None


def _executable(path: Path) -> Path | None:
    return path.resolve() if path.is_file() and os.access(path, os.X_OK) else None


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/hami-operator``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hami-operator"


def source_files(sources: Path = SOURCES) -> list[Path]:
    """The files that decide what the build makes (go.mod names the versions of Kubernetes and Go)."""
    return sorted([*sources.glob("*.go"), sources / "go.mod", sources / "go.sum"])


def cached_path(sources: Path = SOURCES) -> Path:
    """Where the build of exactly these sources lies, whether it is there or not."""
    digest = hashlib.sha256()
    for file in source_files(sources):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return cache_folder() / ALL_IN_ONE / digest.hexdigest()[:16] / ALL_IN_ONE
