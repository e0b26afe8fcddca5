"""The admission policies on a real API server: who may write which annotation of a pod, and how it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import yaml

from hami_operator import config
from hami_operator.sandbox import Sandbox
from hami_operator.sandbox.api import Api, pod_path
from hami_operator.sandbox.errors import ApiError
from tests.webhook.pods import container, pod
from webhook.catalogue import written_keys

from .conftest import CONFIG, MANIFESTS, NAMESPACE, TEAM, Json, create, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

BINDING = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/hami-vendor-allocation"
PATH = pod_path(TEAM, "guarded")

KEYS, _ = written_keys(config.load(CONFIG).devices.profiles())
VENDOR_KEYS = [
    *KEYS,
    "iluvatar.ai/predicate-gpu-idx-3",
    "hami.io/vgpu-devices-allocated",
    "hami.io/x-devices-to-allocate",
]
OWN_KEYS = ["hami-operator.io/allocation", "hami-operator.io/any"]
CHOICES = {
    "hami.io/gpu-scheduler-policy": "binpack",
    "huawei.com/vnpu-mode": "hami-core",
    "iluvatar.ai/use-gpuuuid": "a",
    "nvidia.com/nouse-gpuuuid": "b",
}
OPERATOR = f"system:serviceaccount:{NAMESPACE}:hami-operator"
PLUGIN = f"system:serviceaccount:{NAMESPACE}:hami-device-plugin"


def spared(name: str, **annotations: str) -> Json:
    """A pod that passes the webhook by."""
    metadata = {"name": name, "labels": {"hami.io/webhook": "ignore"}, "annotations": annotations}
    return pod(container(), metadata=metadata)


def written(**annotations: str | None) -> Json:
    return {"metadata": {"annotations": annotations}}


async def annotate(sandbox: Sandbox, user: str, *changes: str) -> str:
    """Change annotations of the pod as a user who may do everything but for the policies; what kubectl says."""
    identity = (f"--as={user}", "--as-group=system:masters")
    done = await sandbox.kubectl(
        *("annotate", "pod", "guarded", "-n", TEAM, "--overwrite", *identity, *changes), check=False
    )
    return done.stderr


async def denied(api: Api, change: Json, path: str = PATH) -> str:
    """What the administrator is told for a change (tried only) that is refused; empty when it is taken."""
    try:
        await api.patch(f"{path}?dryRun=All", change)
    except ApiError as error:
        return str(error)
    return ""


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(sandbox: Sandbox, api: Api) -> AsyncIterator[None]:
    """A pod with an allocation that the operator wrote, and the policies in force, which were applied a moment ago."""
    await create(api, spared("guarded"), persist=True)
    await until("own keys are guarded", lambda: denied(api, written(**{OWN_KEYS[0]: "wrong"})))
    await until("vendors' keys are", lambda: annotate(sandbox, "alice", "--dry-run=server", "hami.io/bind-phase=x"))
    assert await annotate(sandbox, OPERATOR, *(f"{key}=right" for key in (*OWN_KEYS, *VENDOR_KEYS))) == ""
    yield
    await api.delete(PATH)


@pytest_asyncio.fixture(loop_scope="session")
async def strict(guarded: None, api: Api) -> AsyncIterator[None]:
    """The component ``strict`` in force."""
    component = yaml.safe_load((MANIFESTS / "components/strict/kustomization.yaml").read_text())
    (change,) = yaml.safe_load(component["patches"][0]["patch"])
    before = (await api.get(BINDING))["spec"]["validationActions"]
    await api.patch(BINDING, {"spec": {"validationActions": change["value"]}})

    async def in_force() -> bool:
        return "forbidden" in await denied(api, written(**{"hami.io/vgpu-node": "n2"}))

    await until("others are refused", in_force)
    yield
    await api.patch(BINDING, {"spec": {"validationActions": before}})


@pytest.mark.parametrize("key", OWN_KEYS)
async def test_our_own_keys_are_changed_and_removed_by_the_operator_alone(guarded: None, api: Api, key: str) -> None:
    for value in ("wrong", None):
        for path in (PATH, f"{PATH}/status"):
            told = await denied(api, written(**{key: value}), path)
            assert "annotations hami-operator.io/* are written by the operator alone, not by sandbox:admin" in told
    assert await denied(api, written(**{key: "right"})) == ""


async def test_others_are_warned_of_each_vendors_key(guarded: None, sandbox: Sandbox) -> None:
    told = await annotate(sandbox, "alice", *(f"{key}=wrong" for key in VENDOR_KEYS))
    assert "Warning" in told
    assert "by the operator and the device plugins alone, not by alice: " in told
    assert await annotate(sandbox, PLUGIN, "hami.io/bind-phase=success") == ""
    assert await annotate(sandbox, "alice", *(f"{key}={value}" for key, value in CHOICES.items())) == ""


async def test_where_it_is_strict_each_vendors_key_is_changed_and_removed_by_listed_accounts_alone(
    strict: None, api: Api, sandbox: Sandbox
) -> None:
    for key in VENDOR_KEYS:
        for value in ("wrong", None):
            assert "by the operator and the device plugins alone" in await denied(api, written(**{key: value})), key
    told = await denied(api, written(**{"hami.io/bind-phase": "failed"}), f"{PATH}/status")
    assert "device plugins alone, not by sandbox:admin: hami.io/bind-phase" in told
    assert await denied(api, written(**CHOICES)) == ""
    assert await annotate(sandbox, PLUGIN, "hami.io/bind-phase=success", "CAMBRICON_DSMLU_PROFILE-") == ""


async def test_where_it_is_strict_nobody_brings_a_key_with_a_new_pod(strict: None, api: Api) -> None:
    for key in (*OWN_KEYS, *VENDOR_KEYS):
        with pytest.raises(ApiError, match="are written by the operator"):
            await create(api, spared("brings", **{key: "x"}))
    await create(api, spared("brings", **CHOICES))


@pytest.mark.parametrize("key", [OWN_KEYS[0], "hami.io/vgpu-devices-allocated"])
async def test_where_it_is_strict_nobody_brings_a_key_with_a_binding(strict: None, api: Api, key: str) -> None:
    await create(api, spared("unbound"), persist=True)
    binding = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n1"}}
    binding["metadata"] = {"name": "unbound", "annotations": {key: "x"}}
    try:
        with pytest.raises(ApiError, match="are written by the operator"):
            await api.post(f"{pod_path(TEAM, 'unbound')}/binding", binding)
    finally:
        await api.delete(pod_path(TEAM, "unbound"))


@pytest.mark.parametrize("prefix", ["a", "hami-operator.io/"])
async def test_a_pod_with_thousands_of_annotations_is_judged_within_the_limit_of_cost(
    strict: None, api: Api, prefix: str
) -> None:
    """The API server breaks off an expression that costs too much, and would refuse the pod in other words."""
    many = spared("many", **dict.fromkeys((f"{prefix}{number}" for number in range(10_000)), ""))
    if prefix == "a":
        await create(api, many)
        return
    with pytest.raises(ApiError, match="are written by the operator alone"):
        await create(api, many)
