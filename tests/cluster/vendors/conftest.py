"""One sandbox with a simulated node of each family, operator and webhook, for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hami_operator.sandbox import Sandbox, Settings, families
from hami_operator.sandbox.installation import Installation, manifests

from .stage import NODES, Stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    settings = Settings(name="tests-vendors", parent=tmp_path_factory.mktemp("sandboxes"))
    async with await Sandbox.start(NODES, settings) as sandbox:
        config = families.settings(manifests() / "base" / "config.yaml", [spec.type for spec in NODES], sandbox.folder)
        installation = await Installation.install(sandbox, config, lease={})  # nobody takes the operator's place
        async with sandbox.api() as api:
            yield Stage(sandbox, installation, api)
        verdict = sandbox.verdict()
        assert verdict.ok, str(verdict)


@pytest.fixture(scope="session")
def update_golden() -> bool:
    """Whether golden files are written instead of compared: ``UPDATE_GOLDEN=1``."""
    return os.environ.get("UPDATE_GOLDEN") == "1"
