"""The doctor at a real installation: nothing to say of a sound one, and faults found where they are made."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from click.testing import CliRunner

from hami_operator.cli.main import main
from hami_operator.sandbox.installation import NAMESPACE

from .stage import Json, Stage, container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hami-webhook"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/hami-operator-direct"
DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments"


async def examined(stage: Stage, kubeconfig: str = "") -> tuple[int, dict[str, list[str]]]:
    """The status, and what is wrong by title."""
    arguments = ["doctor", "-o", "json", "--kubeconfig", kubeconfig or str(stage.sandbox.kubeconfig)]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    found = {row["check"]: [one["what"] for one in row["findings"]] for row in json.loads(result.stdout)}
    return result.exit_code, {title: findings for title, findings in found.items() if findings}


async def test_nothing_is_wrong_while_pods_run(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=1000))
    await stage.running("p")
    assert await examined(stage) == (0, {})


@contextlib.asynccontextmanager
async def client_config(stage: Stage, **changes: str) -> AsyncIterator[None]:
    """The API server calls the webhook otherwise for a while; other requests are not to be admitted meanwhile."""
    before = (await stage.api.get(WEBHOOK))["webhooks"]
    changed = [{**one, "clientConfig": {**one["clientConfig"], **changes}} for one in before]
    await stage.api.patch(WEBHOOK, {"webhooks": changed})
    try:
        yield
    finally:
        await stage.api.patch(WEBHOOK, {"webhooks": before})


def another_authority(stage: Stage) -> AbstractAsyncContextManager[None]:
    """The webhook's certificate is signed by somebody whom the API server is not told of: its own CA is, instead."""
    return client_config(stage, caBundle=base64.b64encode(stage.sandbox.ca_file.read_bytes()).decode())


def nobody_listens(stage: Stage) -> AbstractAsyncContextManager[None]:
    return client_config(stage, url="https://127.0.0.1:1/mutate")


@contextlib.asynccontextmanager
async def rights_taken(stage: Stage) -> AsyncIterator[None]:
    before = (await stage.api.get(ROLE))["rules"]
    await stage.api.patch(ROLE, {"rules": [rule for rule in before if "pods/status" not in rule["resources"]]})
    try:
        yield
    finally:
        await stage.api.patch(ROLE, {"rules": before})


@contextlib.asynccontextmanager
async def hami_beside(stage: Stage) -> AsyncIterator[None]:
    labels = {"app.kubernetes.io/component": "hami-scheduler"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "s", "image": "example.org/hami"}]}}
    body: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hami", "labels": labels}}
    body["spec"] = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    await stage.api.post(DEPLOYMENTS, body)
    try:
        yield
    finally:
        await stage.api.delete(f"{DEPLOYMENTS}/hami")


FAULTS: dict[Callable[[Stage], AbstractAsyncContextManager[None]], tuple[str, str]] = {
    another_authority: ("Webhook", "does not trust the webhook's certificate"),
    nobody_listens: ("Webhook", "can't reach the webhook"),
    rights_taken: ("Rights of the operator", "the operator may not patch pods/status"),
    hami_beside: ("No other scheduler of this name", "HAMi's own scheduler runs: Deployment kube-system/hami"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_fault_that_is_made_is_the_one_that_is_found(
    stage: Stage, fault: Callable[[Stage], AbstractAsyncContextManager[None]]
) -> None:
    title, words = FAULTS[fault]
    async with fault(stage):
        status, found = await until(f"doctor finds {title}", lambda: wrong(stage))
    assert status == 1
    assert list(found) == [title]
    assert words in found[title][0]
    await until("doctor finds nothing any more", lambda: well(stage))


async def wrong(stage: Stage) -> tuple[int, dict[str, list[str]]] | None:
    """What is found; the API server hears of changed webhooks and roles a little later."""
    status, found = await examined(stage)
    return (status, found) if found else None


async def well(stage: Stage) -> bool:
    return await examined(stage) == (0, {})


async def test_who_may_only_read_pods_and_nodes_is_told_what_could_not_be_looked_at(stage: Stage) -> None:
    reader = stage.sandbox.user_kubeconfig("reader", "readers")
    kinds = ["pods", "nodes", "resourcequotas", "persistentvolumes", "persistentvolumeclaims"]
    group = "rbac.authorization.k8s.io"
    role: Json = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "readers"}}
    role["rules"] = [{"apiGroups": ["", "hami-operator.io"], "resources": [*kinds, "extendedresourcequotas"]}]
    role["rules"][0]["verbs"] = ["list"]
    binding: Json = {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "readers"}}
    binding["roleRef"] = {"apiGroup": group, "kind": "ClusterRole", "name": "readers"}
    binding["subjects"] = [{"apiGroup": group, "kind": "Group", "name": "readers"}]
    await stage.api.post(f"/apis/{group}/v1/clusterroles", role)
    await stage.api.post(f"/apis/{group}/v1/clusterrolebindings", binding)
    status, found = await examined(stage, str(reader))
    assert status == 1
    assert list(found) == ["Everything can be looked at"]
    told = " ".join(found["Everything can be looked at"])
    for what in ("deployments", "webhooks", "lease", "crd", "missing rights", "skew", "admission"):
        assert f"{what} can't be looked at" in told
    assert NAMESPACE in told
