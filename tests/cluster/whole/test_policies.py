"""The ways around the webhook: what the API server itself refuses or warns of."""

from __future__ import annotations

import pytest

from hami_operator.core import protocol
from hami_operator.sandbox.api import pod_path
from hami_operator.sandbox.errors import ApiError

from .stage import Stage, container

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

PAST_THE_WEBHOOK = {"hami.io/webhook": "ignore"}
CLAIM = {protocol.OWN_ALLOCATION: '{"NVIDIA":[[["GPU-1","NVIDIA",0,0]]]}'}


async def test_a_new_pod_that_passed_the_webhook_by_may_not_bring_our_record(stage: Stage) -> None:
    with pytest.raises(ApiError, match="written by the operator alone"):
        await stage.create("p", container(gpu=1), metadata={"labels": PAST_THE_WEBHOOK, "annotations": CLAIM})


async def test_nobody_else_changes_or_removes_our_record_of_a_running_pod(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=1000))
    before = (await stage.running("p"))["metadata"]["annotations"][protocol.OWN_ALLOCATION]
    for value in ('{"NVIDIA":[[]]}', None):
        patch = {"metadata": {"annotations": {protocol.OWN_ALLOCATION: value}}}
        with pytest.raises(ApiError, match="written by the operator alone"):
            await stage.api.patch(pod_path(stage.namespace, "p"), patch)
    await stage.api.patch(pod_path(stage.namespace, "p"), {"metadata": {"annotations": {"mine": "1"}}})
    after = (await stage.running("p"))["metadata"]["annotations"]
    assert (after[protocol.OWN_ALLOCATION], after["mine"]) == (before, "1")


async def test_nobody_else_binds_a_pod_with_a_record_of_ours(stage: Stage) -> None:
    await stage.create("p", container(cpu="10m"), schedulerName="somebody-else")
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p", "namespace": stage.namespace, "annotations": CLAIM},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "a30-0"},
    }
    with pytest.raises(ApiError, match="written by the operator alone"):
        await stage.api.post(f"{pod_path(stage.namespace, 'p')}/binding", binding)


async def test_changes_to_a_plugins_keys_by_others_are_warned_of(stage: Stage) -> None:
    await stage.create("p", container(gpu=1, mem=1000))
    await stage.running("p")
    key = "hami.io/vgpu-devices-to-allocate"
    answer = await stage.sandbox.kubectl(
        "-n", stage.namespace, "annotate", "pod", "p", f"{key}=GPU-1,NVIDIA,1,1:;", "--overwrite"
    )
    assert "written by the operator and the device plugins alone" in answer.stderr
    harmless = await stage.sandbox.kubectl("-n", stage.namespace, "annotate", "pod", "p", "mine=2")
    assert "Warning" not in harmless.stderr
