"""The manifests before a real API server: valid by its strictest reading, and allowed by our own pod security."""

from __future__ import annotations

import pytest

from hami_operator.sandbox import Sandbox
from hami_operator.sandbox.api import Api

from .conftest import MANIFESTS, NAMESPACE, create

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

DEPLOYMENTS = ("hami-operator", "hami-webhook", "hami-webhook-certs")


@pytest.mark.parametrize("overlay", ["direct", "extender"])
async def test_everything_is_valid_and_can_be_applied_again(fresh: None, sandbox: Sandbox, overlay: str) -> None:
    folder = str(MANIFESTS / "overlays" / overlay)
    done = await sandbox.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", folder)
    assert "unknown field" not in done.stderr


@pytest.mark.parametrize("name", DEPLOYMENTS)
async def test_our_pods_pass_the_pod_security_of_their_namespace(api: Api, name: str) -> None:
    deployment = await api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": f"{name}-0", "namespace": NAMESPACE}
    made = await create(api, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    assert made["spec"]["priority"] == 2_000_000_000, "the quota of the namespace admits the priority class"


@pytest.mark.parametrize("account", DEPLOYMENTS)
async def test_accounts_may_not_do_what_is_not_theirs(api: Api, account: str) -> None:
    """A few questions to the authoriser itself; the whole table is compared with the manifests elsewhere."""
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    asked = {
        ("create", "", "pods", "binding", ""): {"hami-operator"},
        ("patch", "", "pods", "status", ""): {"hami-operator"},
        ("patch", "", "nodes", "", ""): {"hami-operator"},
        ("list", "", "secrets", "", ""): set(),
        ("get", "", "secrets", "", "hami-webhook-tls"): {"hami-webhook-certs"},
        ("create", "", "pods", "", ""): set(),
        ("delete", "", "pods", "", ""): set(),
        ("patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "hami-webhook"): {
            "hami-webhook-certs"
        },
        ("update", "coordination.k8s.io", "leases", "", ""): {"hami-operator"},
    }
    for (verb, group, resource, subresource, name), allowed in asked.items():
        attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name}
        spec = {"user": user, "resourceAttributes": {**attributes, "namespace": NAMESPACE}}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        assert answer["status"].get("allowed", False) == (account in allowed), (verb, resource)
