"""One sandbox for all cluster tests: a control plane without nodes, to which tests add what they need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hami_operator.sandbox import Kind, Node, NodeSpec, Sandbox, Settings, no_hollow_nodes


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A control plane, shared; at its end no plugin may ever have given out what its node does not have."""
    settings = Settings(name="tests", parent=tmp_path_factory.mktemp("sandboxes"))
    started = asyncio.run(Sandbox.start((), settings))
    try:
        yield started
        verdict = started.verdict()
        assert verdict.ok, str(verdict)
    finally:
        started.stop()


@pytest.fixture(scope="session")
def kubeconfig(sandbox: Sandbox) -> Path:
    """The administrator's kubeconfig."""
    return sandbox.kubeconfig


@pytest.fixture(scope="module", params=list(Kind), ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Both kinds of nodes, one after the other; hollow ones are skipped where the machine can't run them."""
    wanted: Kind = request.param
    if wanted is Kind.HOLLOW and (why := no_hollow_nodes()) is not None:
        pytest.skip(f"hollow nodes can't run here: {why}")
    return wanted


@pytest.fixture(scope="module")
def node(sandbox: Sandbox, kind: Kind) -> Iterator[Node]:
    """A node of two A30 cards, of either kind; tests leave it well and empty."""
    (made,) = asyncio.run(sandbox.add(NodeSpec("a30", cards=2, kind=kind)))
    yield made
    asyncio.run(sandbox.remove(made.name))
