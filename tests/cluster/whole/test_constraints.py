"""What a pod demands of its node beside cards: judged, or said to be beyond us; never passed over."""

from __future__ import annotations

from typing import Any

import pytest

from .stage import Stage, container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

HOSTNAME = "kubernetes.io/hostname"


def node_affinity(operator: str, *names: str) -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": HOSTNAME, "operator": operator, "values": list(names)}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


async def test_required_node_affinity_is_honoured(stage: Stage) -> None:
    others = ["a100-80-0", "t4-0", "t4-1", "t4-2"]
    await stage.create("p", container(gpu=1, mem=100), affinity=node_affinity("NotIn", *others))
    assert (await stage.running("p"))["spec"]["nodeName"] == "a30-0"


async def test_a_bound_claim_ties_its_pod_to_the_nodes_of_its_volume(stage: Stage) -> None:
    affinity = {
        "required": node_affinity("In", "t4-1")["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    }
    size, modes = {"storage": "1Gi"}, ["ReadWriteOnce"]
    claim = {"accessModes": modes, "storageClassName": "", "volumeName": "on-t4-1", "resources": {"requests": size}}
    volume = {
        "capacity": size,
        "accessModes": modes,
        "persistentVolumeReclaimPolicy": "Delete",
        "hostPath": {"path": "/tmp"},
        "nodeAffinity": affinity,
    }
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim}
    claims = f"/api/v1/namespaces/{stage.namespace}/persistentvolumeclaims"
    await stage.api.post(claims, body)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    await stage.create("p", container(gpu=1, mem=100), volumes=volumes)
    await stage.refused("p", "claim 'data' is not bound")
    made = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "on-t4-1"}, "spec": volume}
    await stage.api.post("/api/v1/persistentvolumes", made)
    try:

        async def node() -> str | None:
            return ((await stage.pod("p")) or {}).get("spec", {}).get("nodeName")

        assert await until("the pod is bound", node) == "t4-1"
    finally:
        await stage.delete("p")
        await stage.api.delete(f"{claims}/data")
        await stage.api.delete("/api/v1/persistentvolumes/on-t4-1")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": HOSTNAME, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
                ]
            },
            "spec.topologySpreadConstraints",
        ),
        (
            {
                "affinity": {
                    "podAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"a": "b"}}}
                        ]
                    }
                }
            },
            "spec.affinity.podAffinity",
        ),
    ],
    ids=["topology spread", "pod affinity"],
)
async def test_what_is_not_judged_is_named_and_the_pod_waits(stage: Stage, spec: dict[str, Any], field: str) -> None:
    await stage.create("p", container(gpu=1, mem=100), **spec)
    message = await stage.refused("p", "UnsupportedConstraint")
    assert field in message
    assert "extender mode" in message


async def test_a_running_pod_keeps_those_away_that_its_anti_affinity_names(stage: Stage) -> None:
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "noisy"}}}
    loner = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    here = {HOSTNAME: "a30-0"}
    # The loner itself asks for what direct mode does not judge, so it comes by a node name of its own, without cards.
    await stage.create("loner", container(cpu="10m"), affinity=loner, nodeName="a30-0")
    await stage.running("loner")
    labels = {"labels": {"app": "noisy"}}
    await stage.create("noisy", container(gpu=1, mem=100), metadata=labels, nodeSelector=here)
    assert "loner" in await stage.refused("noisy", "PodAntiAffinityConflict")
    await stage.create("quiet", container(gpu=1, mem=100), nodeSelector=here)
    await stage.running("quiet")
    await stage.delete("loner")
    await stage.running("noisy")
