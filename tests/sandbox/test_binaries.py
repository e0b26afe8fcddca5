"""Where components are found, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hami_operator.sandbox import binaries
from hami_operator.sandbox.binaries import CONTROL_PLANE, HOLLOW_NODE, cached_path, find
from hami_operator.sandbox.errors import SandboxError


def place(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def never(_: Path) -> None:
    pytest.fail("nothing is to be built")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets KUBEBUILDER_ASSETS, PATH and the cache to folders with these files."""

    def make(assets: tuple[str, ...] = (), path: tuple[str, ...] = (), *, cached: bool = False) -> None:
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(place(tmp_path / "assets", *assets)))
        monkeypatch.setenv("PATH", str(place(tmp_path / "path", *path)))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        if cached:
            place(cached_path().parent, "controlplane")

    return make


def test_kubebuilder_assets_come_first(places: Callable[..., None], tmp_path: Path) -> None:
    places(CONTROL_PLANE, CONTROL_PLANE, cached=True)
    found = find(CONTROL_PLANE, never)
    assert found.origin == "KUBEBUILDER_ASSETS"
    assert found.paths["etcd"] == tmp_path / "assets" / "etcd"


def test_then_comes_the_path(places: Callable[..., None], tmp_path: Path) -> None:
    places((), CONTROL_PLANE, cached=True)
    found = find(CONTROL_PLANE, never)
    assert (found.origin, found.paths["kubectl"]) == ("PATH", tmp_path / "path" / "kubectl")


@pytest.mark.parametrize("incomplete", [("kubectl",), ("etcd", "kube-apiserver", "kubectl")])
def test_an_incomplete_place_is_passed_over_whole(places: Callable[..., None], incomplete: tuple[str, ...]) -> None:
    places(incomplete, incomplete, cached=True)
    found = find(CONTROL_PLANE, never)
    assert found.origin == "cache"
    assert set(found.paths.values()) == {cached_path().resolve()}


def test_hollow_nodes_come_from_the_same_place_as_the_rest(places: Callable[..., None]) -> None:
    places((), CONTROL_PLANE, cached=True)
    found = find((*CONTROL_PLANE, HOLLOW_NODE), never)
    assert set(found.paths.values()) == {cached_path().resolve()}


def test_one_file_that_is_everything_is_enough(places: Callable[..., None], tmp_path: Path) -> None:
    places((), ("controlplane",))
    found = find((*CONTROL_PLANE, HOLLOW_NODE), never)
    assert set(found.paths.values()) == {tmp_path / "path" / "controlplane"}


def test_what_is_found_nowhere_is_built_into_the_cache_once(places: Callable[..., None]) -> None:
    places()
    built = []

    def build(target: Path) -> None:
        built.append(target)
        place(target.parent, target.name)

    assert find(CONTROL_PLANE, build).origin == "cache"
    assert find(CONTROL_PLANE, build).origin == "cache"
    assert built == [cached_path()]


def test_a_build_that_leaves_nothing_is_an_error(places: Callable[..., None]) -> None:
    places()
    with pytest.raises(SandboxError, match="left no executable"):
        find(CONTROL_PLANE, lambda _: None)


def test_the_cache_goes_by_content(tmp_path: Path) -> None:
    for name, text in (("go.mod", "module x"), ("go.sum", ""), ("main.go", "package main")):
        (tmp_path / name).write_text(text)
    before = cached_path(tmp_path)
    assert cached_path(tmp_path) == before
    (tmp_path / "main.go").write_text("package main // changed")
    assert cached_path(tmp_path) != before


def test_links_are_called_by_the_components_names(places: Callable[..., None], tmp_path: Path) -> None:
    places((), ("controlplane",))
    find(CONTROL_PLANE, never).link_into(tmp_path / "bin")
    assert (tmp_path / "bin" / "etcd").resolve() == tmp_path / "path" / "controlplane"
    assert {link.name for link in (tmp_path / "bin").iterdir()} == set(binaries.EVERYTHING)
