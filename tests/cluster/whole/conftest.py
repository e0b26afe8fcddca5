"""One sandbox with operator and webhook for all tests of this folder, and a namespace for each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hami_operator.sandbox import Kind, NodeSpec, Sandbox, Settings, no_hollow_nodes
from hami_operator.sandbox.installation import Installation

from .stage import Stage, label_of, namespace

HOLLOW = [NodeSpec("a100-80", cards=2), NodeSpec("a30", cards=2)]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    if (why := no_hollow_nodes()) is not None:
        pytest.skip(f"hollow nodes are impossible here: {why}")
    simulated = NodeSpec("t4", cards=4, count=3, kind=Kind.SIMULATED)
    async with await Sandbox.start(
        [*HOLLOW, simulated], Settings(name="tests-whole", parent=tmp_path_factory.mktemp("sandboxes"))
    ) as sandbox:
        yield await Installation.install(sandbox)
        verdict = sandbox.verdict()
        assert verdict.ok, str(verdict)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(installed: Installation, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with namespace(installed.sandbox, installed, label_of(request.node.name)) as made:
        yield made
