"""Admission by a real API server: who is called for, what is stored, and what happens while nobody answers."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from hami_operator import config
from hami_operator.sandbox import Sandbox
from hami_operator.sandbox.api import Api
from hami_operator.sandbox.errors import ApiError
from tests.webhook.pods import amounts, container, pod
from webhook import install
from webhook.server import listening
from webhook.tls import ServingCertificate

from .conftest import CONFIG, MANIFESTS, NAMESPACE, TEAM, Webhook, clone, create, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

NAMES = [name for profile in config.load(CONFIG).devices.profiles() for name in profile.names.all()]
#: A name that is refused alone, with the one that it needs.
PARTNERS = {"cambricon.com/vmlu": {"cambricon.com/mlu.smlu.vmemory": 8}}


async def test_what_is_filled_in_survives_the_defaulting_of_the_api_server(webhook: Webhook, api: Api) -> None:
    bare = {"name": "main", "image": "app", "resources": {"limits": amounts({"mem": 2000, "cpu": 1})}}
    made = await create(api, pod(bare))
    assert made["spec"]["schedulerName"] == "hami-scheduler"
    both = amounts({"gpu": 1, "mem": "2k", "cpu": 1})
    assert made["spec"]["containers"][0]["resources"] == {"limits": both, "requests": both}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
async def test_each_managed_name_brings_a_pod_to_the_webhook(webhook: Webhook, api: Api, name: str, kind: str) -> None:
    asks = container("asks", limits={name: 1, **PARTNERS.get(name, {})})
    obj = pod(container("plain"), asks) if kind == "containers" else pod(container("plain"), initContainers=[asks])
    before = await webhook.reviews()
    await create(api, obj)
    assert await webhook.reviews() == before + 1


@pytest.mark.parametrize(
    "metadata",
    [
        *({"annotations": {key: "x"}} for key in ("hami.io/vgpu-node", "hami.io/bind-phase", "hami-operator.io/any")),
        *({"annotations": {f"hami.io/{family}-devices-allocated": "x"}} for family in ("vgpu", "dcu", "Ascend910B")),
        {"labels": {"hami.io/vgpu-node": "n1"}},
    ],
)
async def test_claims_of_an_allocation_are_taken_off_pods_that_ask_for_nothing(
    webhook: Webhook, api: Api, metadata: dict[str, Any]
) -> None:
    made = await create(api, pod(container(), metadata={**metadata}))
    assert not set(made["metadata"].get("annotations", {})) & set(metadata.get("annotations", {}))
    assert not made["metadata"].get("labels")
    assert made["spec"]["schedulerName"] == "default-scheduler"


@pytest.mark.parametrize(
    "obj",
    [
        pod(container()),
        pod(container(limits={"cpu": 1, "memory": "1Gi"})),
        pod(container(limits={"nvidia.com/mig-1g.5gb": 1})),
        pod(container(limits={"example.com/gpu": 1}), metadata={"annotations": {"nvidia.com/gpumem": "1"}}),
        pod(metadata={"labels": {"hami.io/webhook": "ignore"}}),
        pod(metadata={"namespace": "kube-system"}),
        pod(metadata={"namespace": NAMESPACE}),
    ],
    ids=["bare", "cpu", "mig", "foreign", "label", "kube-system", "own namespace"],
)
async def test_other_pods_never_wait_for_the_webhook(webhook: Webhook, api: Api, obj: dict[str, Any]) -> None:
    before = await webhook.reviews()
    with contextlib.suppress(ApiError):  # pod security of our own namespace, not the webhook
        made = await create(api, obj)
        assert made["spec"]["schedulerName"] == "default-scheduler"
    assert await webhook.reviews() == before


@pytest.mark.parametrize("spec", [{}, {"containers": []}, {"containers": None}])
async def test_a_pod_without_containers_is_refused_in_the_api_servers_own_words(
    webhook: Webhook, api: Api, spec: dict[str, Any]
) -> None:
    with pytest.raises(ApiError, match=r"spec\.containers: Required value"):
        await create(api, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})


async def test_a_refusal_reaches_the_user_as_a_sentence(webhook: Webhook, sandbox: Sandbox) -> None:
    text = yaml.safe_dump(pod(container("trainer", limits={"gpu": 1, "mem": "4Gi"})))
    done = await sandbox.kubectl("create", "--dry-run=server", "-f", "-", stdin=text, check=False)
    assert done.returncode != 0
    assert "container 'trainer': nvidia.com/gpumem is 4Gi" in done.stderr
    assert "write 4096 (MiB)" in done.stderr


async def test_warnings_reach_the_user(webhook: Webhook, sandbox: Sandbox) -> None:
    text = yaml.safe_dump(pod(metadata={"annotations": {"hami.io/vgpu-node": "n1"}}))
    done = await sandbox.kubectl("create", "--dry-run=server", "-f", "-", stdin=text)
    assert "Warning: annotation 'hami.io/vgpu-node' was removed: only the scheduler writes it" in done.stderr


async def test_a_container_that_another_webhook_adds_is_judged_too(webhook: Webhook, api: Api) -> None:
    async with injecting(api, webhook.folder):

        async def injected() -> Any:
            made = await create(api, pod(container(limits={"gpu": 1, "mem": 100})))
            return made if len(made["spec"]["containers"]) == 2 else None

        made = await until("a container is added", injected)
        added = made["spec"]["containers"][1]
        both = amounts({"gpu": 1, "cores": 100})
        assert added["resources"] == {"limits": both, "requests": both}


@contextlib.asynccontextmanager
async def injecting(api: Api, folder: Path) -> Any:
    """A second webhook, called after ours, that adds a container with a card."""
    certificate = ServingCertificate(folder)
    certificate.refresh()

    async def reply(http: web.Request) -> web.Response:
        request = (await http.json())["request"]
        response = {"uid": request["uid"], "allowed": True}
        if len(request["object"]["spec"]["containers"]) == 1:
            side = {"name": "side", "image": "app", "resources": {"limits": amounts({"gpu": 1})}}
            patch = [{"op": "add", "path": "/spec/containers/-", "value": side}]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})

    app = web.Application()
    app.router.add_post("/", reply)
    (ours,) = (await api.get(install.CONFIGURATION_PATH))["webhooks"]
    path = install.CONFIGURATION_PATH.rpartition("/")[0]
    async with listening(app, "127.0.0.1", 0, certificate.context) as port:
        other = clone(ours)
        other["name"] = "injector.example.com"
        other["clientConfig"]["url"] = f"https://127.0.0.1:{port}/"
        other["reinvocationPolicy"] = "Never"
        await api.post(
            path,
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": "zz-injector"},
                "webhooks": [other],
            },
        )
        try:
            yield
        finally:
            await api.delete(f"{path}/zz-injector")


#: The family that the manifests' settings leave out; its examples go their whole way in tests/cluster/vendors.
SWITCHED_OFF = "volcano"

#: What a dry run does not create, while the rest of the example needs it: kind to path.
NEEDED = {"Namespace": "/api/v1/namespaces", "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses"}


async def create_needed(example: str, api: Api) -> None:
    """Create what the pods of an example can't do without."""
    for obj in yaml.safe_load_all(example):
        if obj["kind"] in NEEDED and obj["metadata"]["name"] != TEAM:
            await api.post(NEEDED[obj["kind"]], obj)


async def test_each_example_is_taken_or_refused_by_the_api_server_as_its_comment_says(
    webhook: Webhook, sandbox: Sandbox, api: Api
) -> None:
    paths = [path for path in sorted((MANIFESTS / "examples").rglob("*.yaml")) if path.parent.name != SWITCHED_OFF]
    texts = {path: path.read_text() for path in paths}
    for text in texts.values():
        await create_needed(text, api)
    files = (f"--filename={path}" for path in paths)
    done = await sandbox.kubectl("apply", "--dry-run=server", "--validate=strict", *files, check=False)
    for path, text in texts.items():
        told = [line for line in done.stderr.splitlines() if f'"{path}"' in line]
        assert bool(told) == ("# Refused" in text), (path.name, told)
        assert all("denied the request" in line for line in told), (path.name, told)
        if not told:
            for obj in yaml.safe_load_all(text):
                assert f"/{obj['metadata']['name']} " in done.stdout, path.name
