"""Without our kind nothing may be placed past a quota that was not seen; an installation without it says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hami_operator.app import App, build
from hami_operator.config import QuotaSection, Settings
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.sandbox import Sandbox
from hami_operator.sandbox import Settings as SandboxSettings
from hami_operator.telemetry import Telemetry
from tests.cluster.whole.stage import until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

CRDS = Path(__file__).parents[3] / "crds"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    """A control plane in which nothing of ours is installed."""
    settings = SandboxSettings(name="tests-no-crd", parent=tmp_path_factory.mktemp("sandboxes"))
    async with await Sandbox.start((), settings) as sandbox:
        yield sandbox


def app(client: Client, settings: Settings) -> App:
    return build(settings, client.access, client, Telemetry())


async def test_the_operator_is_not_ready_until_the_kind_is_installed_and_says_what_to_do(bare: Sandbox) -> None:
    async with Client(await load_access(str(bare.kubeconfig))) as client:
        operator = app(client, Settings())
        filling = asyncio.ensure_future(operator.fill())

        async def told() -> bool:
            return any("kubectl apply -f crds/" in line for line in operator.missing())

        await until("the operator says that the kind is not installed", told)
        assert [line.split(":")[0] for line in operator.missing()] == ["extendedresourcequotas"]
        await bare.kubectl("apply", "-f", str(CRDS))
        await asyncio.wait_for(filling, 30)
        assert operator.missing() == []
        await bare.kubectl("delete", "-f", str(CRDS))


async def test_where_the_kind_is_not_wanted_nothing_is_waited_for(bare: Sandbox) -> None:
    async with Client(await load_access(str(bare.kubeconfig))) as client:
        operator = app(client, Settings(quota=QuotaSection(crd="off")))
        await asyncio.wait_for(operator.fill(), 30)
        assert operator.missing() == []
