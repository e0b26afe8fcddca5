"""Worlds for benchmarks: nodes of eight cards, running pods on them, all through the readers that live data passes."""

from __future__ import annotations

import json
from typing import Any

from hami_operator.config import Settings
from hami_operator.core import protocol
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Allocation, Device, Pod, Share
from hami_operator.core.objects import read_node, read_pod

CARDS = 8


def node_object(index: int) -> dict[str, Any]:
    devices = [
        Device(
            f"GPU-{index:05}-{card}", card, 10, 81920, 100, "NVIDIA-NVIDIA A100-SXM4-80GB", card // 4, True, "hami-core"
        )
        for card in range(CARDS)
    ]
    return {
        "metadata": {
            "name": f"node-{index:05}",
            "annotations": {"hami.io/node-nvidia-register": protocol.encode_devices_text(devices)},
            "labels": {"kubernetes.io/hostname": f"node-{index:05}", "gpu": "on"},
        },
        "status": {
            "allocatable": {"cpu": "128", "memory": "1Ti", "pods": "250", "nvidia.com/gpu": str(CARDS * 10)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod_object(index: int, *, gpumem: int = 3000, gpucores: int = 5) -> dict[str, Any]:
    """A pod as the API server holds it, with the usual filling of defaults, token volume and status."""
    limits = {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}
    limits |= {"nvidia.com/gpumem": str(gpumem), "nvidia.com/gpucores": str(gpucores)}
    token = {
        "name": "kube-api-access-x",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    container = {
        "name": "main",
        "image": "registry.example/train:1",
        "resources": {"limits": limits, "requests": limits},
        "volumeMounts": [token],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": f"SETTING_{n}", "value": "value"} for n in range(10)],
    }
    field = ["f:metadata", "f:labels", "f:spec", "f:containers", "f:resources", "f:limits"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"train-{index}",
            "namespace": f"team-{index % 40}",
            "uid": f"00000000-0000-4000-8000-{index:012}",
            "resourceVersion": str(1000 + index),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "train", "team": f"team-{index % 40}"},
            "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {key: {} for key in field}}],
        },
        "spec": {
            "containers": [container],
            "restartPolicy": "Never",
            "schedulerName": "hami-scheduler",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
            ],
            "volumes": [{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {}}]}}],
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    }


def pod(index: int, **amounts: int) -> Pod:
    return read_pod(pod_object(index, **amounts))


def pod_text(index: int) -> str:
    return json.dumps(pod_object(index))


def running_object(index: int, place: int) -> dict[str, Any]:
    """A running pod with 1000 MiB and one core of the card at this place (counted over all nodes)."""
    node, card = divmod(place, CARDS)
    name = f"node-{node:05}"
    share = Share(f"GPU-{node:05}-{card}", "NVIDIA", 1000, 1)
    running = pod_object(10_000_000 + index, gpumem=1000, gpucores=1)
    running["spec"]["nodeName"] = name
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "1000", "nvidia.com/gpucores": "1"}
    running["spec"]["containers"][0]["resources"] = {"limits": limits}
    running["metadata"]["annotations"] = {
        protocol.POD_NODE: name,
        protocol.OWN_ALLOCATION: protocol.encode_allocation(Allocation({"NVIDIA": ((share,),)})),
    }
    running["status"]["phase"] = "Running"
    return running


def cluster(nodes: int, pods: int, settings: Settings | None = None) -> Cluster:
    """``nodes`` x 8 cards with ``pods`` running pods spread evenly over the cards."""
    settings = settings or Settings()
    profiles = settings.devices.profiles()
    result = Cluster(profiles, settings.policies.values(), Inventory(profiles), Ledger(profiles))
    for index in range(nodes):
        result.inventory.update(read_node(node_object(index)))
    for index in range(pods):
        result.ledger.observe(read_pod(running_object(index, index % (nodes * CARDS))), 0.0)
    return result
