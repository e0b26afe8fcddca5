"""News that never comes: the periodic list mends what it finds, and news that it has overtaken changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster.whole.stage import container, until
from tests.faultproxy import Kind

from .conftest import Rig
from .stage import T4_MIB, FaultStage, direct_only, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

PODS, NODES = "^/api/v1/pods$", "^/api/v1/nodes$"
QUOTAS = "^/apis/hami-operator.io/v1alpha1/extendedresourcequotas$"
MOST = container(gpu=1, mem=T4_MIB - 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def often(rig: Rig) -> AsyncIterator[None]:
    """The operator lists every second; elsewhere in this folder every five minutes, so that it mends nothing there."""
    await rig.replace_operator({"HAMI_RESYNC_SECONDS": "1"})
    yield
    await rig.replace_operator({})


@direct_only  # a node that is not there is not asked about
async def test_deletions_that_no_news_told_are_mended_by_the_next_list(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("p", MOST, nodeSelector=on(node))
    await stage.running("p")
    await stage.create("q", MOST, nodeSelector=on(node))
    await stage.refused("q", "CardInsufficientMemory")
    pods, nodes = stage.proxy.censor(PODS, "DELETED"), stage.proxy.censor(NODES, "DELETED")
    await stage.remove("p")
    await stage.running("q")
    await stage.remove("q")
    await stage.sandbox.remove(node.name)
    await nodes.met.wait()
    await stage.create("r", MOST, nodeSelector=on(node))
    await stage.refused("r", "no available node")
    assert stage.bindings("r") == 0
    assert [name.rpartition("/")[2] for name in pods.lost] == ["p", "q"]

    async def told() -> bool:
        return await stage.metric("hami_operator_resync_mended_total") >= 1

    await until("the resync says that it had to mend", told)


@direct_only  # a node that is not there is not asked about
async def test_a_node_made_anew_while_no_news_came_stays_when_the_old_one_is_buried(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("before", MOST, nodeSelector=on(node))
    await stage.running("before")
    await stage.remove("before")
    stage.proxy.censor(NODES, "DELETED", "ADDED")
    listing = stage.proxy.fault(Kind.HOLD, "GET", NODES)
    await listing.hit.wait()
    await stage.sandbox.remove(node.name)
    (again,) = await stage.nodes("t4:1")
    assert again.name == node.name
    listing.release()
    await listing.landed.wait()
    await stage.create("probe", MOST, nodeSelector=on("nowhere"))
    await stage.refused("probe", "no available node")  # the list has been taken over by now
    await stage.create("p", MOST, nodeSelector=on(again))
    await stage.running("p", 10)  # the plugin's next registration would bring the node back


async def test_a_quota_that_was_raised_and_a_pod_that_went_while_no_news_came_let_the_next_pod_go(
    stage: FaultStage,
) -> None:
    (node,) = await stage.nodes("t4:1")
    small, key = container(gpu=1, mem=100), "limits.nvidia.com/gpu"
    path = f"/apis/hami-operator.io/v1alpha1/namespaces/{stage.namespace}/extendedresourcequotas"
    metadata = {"name": "team"}
    body = {"apiVersion": "hami-operator.io/v1alpha1", "kind": "ExtendedResourceQuota", "metadata": metadata}
    await stage.api.post(path, {**body, "spec": {"hard": {key: 1}}})
    for name in ("p", "q", "r"):
        await stage.create(name, small, nodeSelector=on(node))
    first = await _first_bound(stage, "p", "q", "r")
    await stage.running(first)
    waiting = [name for name in ("p", "q", "r") if name != first]
    for name in waiting:
        await stage.refused(name, "ResourceQuotaNotFit")
    gone, raised = stage.proxy.censor(PODS, "DELETED"), stage.proxy.censor(QUOTAS, "MODIFIED")
    await stage.remove(first)
    second = await _first_bound(stage, *waiting)
    await gone.met.wait()
    await stage.api.patch(f"{path}/team", {"spec": {"hard": {key: 2}}})
    await stage.running(next(name for name in waiting if name != second))
    await raised.met.wait()
    await stage.api.delete(f"{path}/team")


async def _first_bound(stage: FaultStage, *names: str) -> str:
    """The first of these pods that has a node."""

    async def ask() -> str | None:
        found = [pod["metadata"]["name"] for pod in await stage.pods() if pod["spec"].get("nodeName")]
        return next((name for name in names if name in found), None)

    return str(await until("one of them is bound", ask))


async def test_news_that_a_list_has_overtaken_brings_nobody_back(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    late = stage.proxy.censor(PODS)
    await stage.create("p", MOST, nodeSelector=on(node))  # a list brings it
    await stage.running("p")
    await late.met.wait()
    await stage.remove("p")
    await stage.create("q", MOST, nodeSelector=on(node))  # lists tell that p is gone and q is there
    await stage.running("q")
    late.release()  # p: added, changed, bound, running, deleted; q: the same
    await stage.create("r", MOST, nodeSelector=on(node))
    await stage.refused("r", "CardInsufficientMemory")
