"""One sandbox for this folder, with the overlay "extender": a real kube-scheduler beside the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hami_operator.sandbox import Kind, NodeSpec, Sandbox, Settings, no_hollow_nodes
from hami_operator.sandbox.binaries import SCHEDULER
from hami_operator.sandbox.installation import Installation
from tests.cluster.quota.stage import QuotaStage
from tests.cluster.whole.stage import label_of, namespace

NODES = [
    NodeSpec("a100-80", cards=2),
    NodeSpec("t4", cards=4, count=3, kind=Kind.SIMULATED),
    NodeSpec("z100l", cards=2, kind=Kind.SIMULATED),
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    if (why := no_hollow_nodes()) is not None:
        pytest.skip(f"neither hollow nodes nor host names of one's own are possible here: {why}")
    settings = Settings(name="tests-extender", parent=tmp_path_factory.mktemp("sandboxes"), also=(SCHEDULER,))
    async with await Sandbox.start(NODES, settings) as sandbox:
        yield await Installation.install(sandbox, overlay="extender")
        verdict = sandbox.verdict()
        assert verdict.ok, str(verdict)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(installed: Installation, request: pytest.FixtureRequest) -> AsyncIterator[QuotaStage]:
    async with namespace(installed.sandbox, installed, label_of(request.node.name)) as made:
        yield QuotaStage(made.sandbox, made.installation, made.api, made.namespace)
