"""Rendered manifests: every overlay through the kubectl that the sandbox uses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hami_operator.sandbox import binaries
from hami_operator.sandbox.build import build

MANIFESTS = Path(__file__).parents[2] / "manifests"

Objects = list[dict[str, Any]]


@pytest.fixture(scope="session")
def kustomize(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Objects]:
    """Render a kustomization folder into its objects."""
    folder = tmp_path_factory.mktemp("bin")
    found = binaries.find(("kubectl",), build)
    found.link_into(folder / "links")

    def render(path: Path) -> Objects:
        run = subprocess.run([folder / "links" / "kubectl", "kustomize", path], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return list(yaml.safe_load_all(run.stdout))

    return render


@pytest.fixture(scope="session")
def direct(kustomize: Callable[[Path], Objects]) -> Objects:
    """What ``kubectl apply -k manifests/overlays/direct`` installs."""
    return kustomize(MANIFESTS / "overlays/direct")


@pytest.fixture(scope="session")
def extender(kustomize: Callable[[Path], Objects]) -> Objects:
    """What ``kubectl apply -k manifests/overlays/extender`` installs."""
    return kustomize(MANIFESTS / "overlays/extender")


@pytest.fixture(params=["direct", "extender"])
def overlay(request: pytest.FixtureRequest) -> Objects:
    """What each of the overlays installs."""
    found: Objects = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def with_components(kustomize: Callable[[Path], Objects], tmp_path: Path) -> Callable[..., Objects]:
    """The direct overlay with components, as a user's own kustomization puts them together."""

    def render(*names: str) -> Objects:
        def relative(path: str) -> str:
            return os.path.relpath(MANIFESTS / path, tmp_path.resolve())

        content = {
            "resources": [relative("overlays/direct")],
            "components": [relative(f"components/{name}") for name in names],
        }
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return kustomize(tmp_path)

    return render


def find(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    """The one object of that kind and name."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found
