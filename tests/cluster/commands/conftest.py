"""A control plane of its own with the objects of ``world.yaml``: no operator, no kubelet, nothing that moves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hami_operator.sandbox import Sandbox, Settings
from hami_operator.sandbox.api import Api, node_path
from hami_operator.sandbox.installation import manifests
from hami_operator.sandbox.processes import marked

WORLD = Path(__file__).with_name("world.yaml")

Json = dict[str, Any]

_GROUPS = {"v1": "/api/v1"}

#: The pod whose event is not gone yet.
DECIDED = "trainer-1"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The control plane with the world in it."""
    settings = Settings(name="tests-commands", parent=tmp_path_factory.mktemp("sandboxes"))
    started = asyncio.run(Sandbox.start((), settings))
    try:
        asyncio.run(_fill(started))
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def update_golden() -> bool:
    """Whether golden files are written instead of compared: ``UPDATE_GOLDEN=1``."""
    return os.environ.get("UPDATE_GOLDEN") == "1"


async def _fill(sandbox: Sandbox) -> None:
    objects = list(yaml.safe_load_all(WORLD.read_text(encoding="utf-8")))
    await sandbox.kubectl("apply", "-f", str(manifests().parent / "crds"))
    await sandbox.kubectl("wait", "--for=condition=Established", "crd", "--all")
    async with sandbox.api() as api:
        for obj in objects:
            if obj["kind"] == "Namespace":
                await api.post("/api/v1/namespaces", obj)
                await _account(api, obj["metadata"]["name"])
        _end_controllers(sandbox)
        for obj in objects:
            if obj["kind"] != "Namespace":
                await _create(api, obj)


def _end_controllers(sandbox: Sandbox) -> None:
    """From now on nobody taints nodes that no kubelet speaks for, or writes anything else on the objects."""
    for pid in list(marked(sandbox.folder)):
        if b"kube-controller-manager" in Path(f"/proc/{pid}/cmdline").read_bytes():
            sandbox.end(pid)


async def _create(api: Api, obj: Json) -> None:
    root = _GROUPS.get(obj["apiVersion"], f"/apis/{obj['apiVersion']}")
    namespace, name = obj["metadata"].get("namespace"), obj["metadata"]["name"]
    if obj["kind"] == "Pod":
        obj["spec"] |= {"automountServiceAccountToken": False}
    within = f"{root}/namespaces/{namespace}" if namespace else root
    collection = f"{within}/{obj['kind'].lower()}s"
    made = await api.post(collection, obj)
    if obj["kind"] == "Node":  # a new node is tainted until somebody has seen it ready
        await api.patch(node_path(name), {"spec": {"taints": obj.get("spec", {}).get("taints")}})
    if obj["kind"] in ("Pod", "PersistentVolumeClaim") and "status" in obj:
        await api.patch(f"{collection}/{name}/status", {"status": obj["status"]})
    if name == DECIDED:
        await api.post(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", decided(made["metadata"]))


async def _account(api: Api, namespace: str) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while True:
        accounts = await api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts")
        if any(account["metadata"]["name"] == "default" for account in accounts["items"]):
            return
        assert asyncio.get_running_loop().time() < deadline, f"{namespace} has no default account"
        await asyncio.sleep(0.05)


def decided(metadata: Json) -> Json:
    """The event that the operator writes when it has decided."""
    note = "find fit node(a30-0), 3 nodes not fit, 1 nodes fit(a30-0:3.33)"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "eventTime": "2025-10-09T08:53:20.000000Z",
        "reportingController": "hami-operator",
        "reportingInstance": "hami-operator",
        "action": "Scheduling",
        "reason": "FilteringSucceed",
        "type": "Normal",
        "note": note,
        "regarding": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }
