"""One sandbox of simulated nodes with webhook and operator for all tests of this folder, and a namespace for each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hami_operator.sandbox import Kind, NodeSpec, Sandbox, Settings
from hami_operator.sandbox.installation import Installation

from .stage import QuotaStage, quota_stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    settings = Settings(name="tests-quota", parent=tmp_path_factory.mktemp("sandboxes"))
    nodes = NodeSpec("t4", cards=8, count=4, kind=Kind.SIMULATED)
    async with await Sandbox.start([nodes], settings) as sandbox:
        yield await Installation.install(sandbox)
        verdict = sandbox.verdict()
        assert verdict.ok, str(verdict)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(installed: Installation, request: pytest.FixtureRequest) -> AsyncIterator[QuotaStage]:
    label = request.node.originalname.removeprefix("test_").replace("_", "-")[:40].rstrip("-")
    async with quota_stage(installed, label) as made:
        yield made
