"""One sandbox for this folder, with webhook and operator as processes of their own; the operator behind a fault proxy.

With ``FAULT_SEED`` the order of the tests and the times of all requests differ from seed to seed (``make soak``), with
``FAULT_DRIVER=extender`` a kube-scheduler asks the operator.
"""

from __future__ import annotations

import contextlib
import os
import random
import ssl
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from hami_operator.sandbox import Node, NodeSpec, Sandbox, Settings, no_hollow_nodes
from hami_operator.sandbox.binaries import SCHEDULER
from hami_operator.sandbox.errors import ApiError
from hami_operator.sandbox.installation import Installation
from tests.faultproxy import FaultProxy

from .stage import DRIVER, LEASE, NOBODY, FaultStage, fault_stage

HERE = Path(__file__).parent
SEED = os.environ.get("FAULT_SEED")
PASSED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With a seed, shuffle the tests of this folder among themselves."""
    places = [position for position, item in enumerate(items) if HERE in item.path.parents]
    mine = [items[position] for position in places]
    if SEED is not None:
        random.Random(SEED).shuffle(mine)
    for position, item in zip(places, mine, strict=True):
        items[position] = item


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test itself passed: only then is it worth while to look at what it left."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    rig = getattr(item, "funcargs", {}).get("rig")
    if report.failed and isinstance(rig, Rig):
        for companion in rig.installation.operators:
            report.sections.append((f"end of {companion.name}'s log", rig.installation.log(companion)[-8000:]))
    return report


@dataclass(frozen=True)
class Rig:
    """What all tests of this folder share."""

    sandbox: Sandbox
    installation: Installation
    proxy: FaultProxy

    async def replace_operator(self, environment: Mapping[str, str]) -> None:
        """End all operators and start one with these settings."""
        for operator in list(self.installation.operators):
            self.installation.kill(operator)
        async with self.sandbox.api() as api:
            with contextlib.suppress(ApiError):  # kube-scheduler may not have made it yet
                await api.patch(LEASE, NOBODY)
        await self.installation.start_operator(environment)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    hollow = [NodeSpec("a30", cards=2)] if no_hollow_nodes() is None else []
    also = (SCHEDULER,) if DRIVER == "extender" else ()
    settings = Settings(name="tests-faults", parent=tmp_path_factory.mktemp("sandboxes"), also=also)
    async with await Sandbox.start(hollow, settings) as sandbox:
        tls = ssl.create_default_context(cafile=sandbox.ca_file)
        jitter = random.Random(SEED) if SEED is not None else None
        async with FaultProxy(sandbox.url, tls, jitter).serve() as proxy:
            yield Rig(sandbox, await Installation.install(sandbox, overlay=DRIVER, server=proxy.url), proxy)
            verdict = sandbox.verdict()
            assert verdict.ok, str(verdict)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[FaultStage]:
    """A namespace of one's own. What must hold after every fault is looked at with the test's pods and without."""
    request.node.funcargs["rig"] = rig
    label = request.node.originalname.removeprefix("test_").replace("_", "-")[:40].rstrip("-")
    passed = False
    async with fault_stage(rig.sandbox, rig.installation, rig.proxy, label) as made:
        await made.revive()
        yield made
        rig.proxy.clear()
        passed = request.node.stash.get(PASSED, False)
        if passed:
            await made.settled()
        await made.empty()
        if passed:
            await made.settled()


@pytest.fixture
def hollow(rig: Rig) -> Node:
    """A node with a real kubelet, of two A30 cards; tests leave it well."""
    if (why := no_hollow_nodes()) is not None:
        pytest.skip(f"hollow nodes are impossible here: {why}")
    return rig.sandbox.node("a30-0")
