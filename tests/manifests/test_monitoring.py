"""The monitoring component on top of the overlay, as kustomize renders it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from .conftest import MANIFESTS, Objects


@pytest.fixture(scope="session")
def monitored(kustomize: Callable[[Path], Objects], tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """The overlay with the component, put together as a user's own kustomization does."""
    folder = tmp_path_factory.mktemp("monitored").resolve()
    base, component = (os.path.relpath(MANIFESTS / name, folder) for name in ("overlays/direct", "monitoring"))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [base], "components": [component]}))
    return kustomize(folder)


def of_kind(objects: Objects, kind: str) -> Objects:
    return [obj for obj in objects if obj["kind"] == kind]


def test_the_base_asks_for_no_kind_of_the_prometheus_operator(direct: Objects) -> None:
    assert not [obj for obj in direct if obj["apiVersion"].startswith("monitoring.coreos.com/")]


def test_the_service_monitor_selects_the_operators_service_and_port(monitored: Objects) -> None:
    (monitor,) = of_kind(monitored, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [
        obj
        for obj in of_kind(monitored, "Service")
        if obj["metadata"]["namespace"] == monitor["metadata"]["namespace"]
        and wanted <= obj["metadata"]["labels"].items()
    ]
    assert [obj["metadata"]["name"] for obj in found] == ["hami-operator"]
    ports = {port["name"] for port in found[0]["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_the_dashboard_comes_in_a_config_map_that_grafana_finds(monitored: Objects) -> None:
    (found,) = [obj for obj in of_kind(monitored, "ConfigMap") if obj["metadata"]["name"] == "hami-operator-dashboard"]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert list(found["data"]) == ["hami-operator.json"]
    assert len(of_kind(monitored, "PrometheusRule")) == 1
