"""What a simulated kubelet reports."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.sandbox.podstatus import begin, end, node_object, pod_status

RESOURCE = "nvidia.com/gpu"


def container(name: str, count: int = 0, **more: str) -> dict[str, Any]:
    limits = {RESOURCE: str(count)} if count else {}
    return {"name": name, "image": "x", "resources": {"limits": limits}, **more}


POD = {
    "spec": {
        "initContainers": [container("prep", 3), container("proxy", 1, restartPolicy="Always")],
        "containers": [container("main", 1), container("log")],
    }
}


def test_an_admitted_pod_runs_and_its_init_containers_have_ended() -> None:
    status = pod_status(POD, begin(POD, 100.0), 100.0)
    assert status["phase"] == "Running"
    assert [s["name"] for s in status["containerStatuses"]] == ["main", "log"]
    prep, proxy = status["initContainerStatuses"]
    assert prep["state"]["terminated"]["exitCode"] == 0
    assert "running" in proxy["state"]


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 3), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 3), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_a_pod_ends_when_its_app_containers_did_as_its_policy_says(
    policy: str, codes: tuple[int, int], phase: str
) -> None:
    running = begin(POD, 100.0)
    for name, code in zip(("main", "log"), codes, strict=True):
        end(running[name], code, policy, 101.0)
    status = pod_status(POD, running, 101.0)
    assert status["phase"] == phase
    if phase != "Running":
        assert all("terminated" in s["state"] for s in status["initContainerStatuses"])


def test_a_node_reports_its_device_ids() -> None:
    node = node_object("n1", {RESOURCE: 80}, 1760000000)
    assert node["status"]["allocatable"][RESOURCE] == "80"
    assert node["status"]["conditions"][0]["lastHeartbeatTime"] == "2025-10-09T08:53:20Z"
