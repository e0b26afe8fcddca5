"""What is computed from nodes is computed anew for those alone that changed, from what it was before."""

from __future__ import annotations

import pytest

from hami_operator.core import journal
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.record import NodeUsage
from hami_operator.serving.pernode import PerNode
from tests.builders import cluster, device, node


def count(_: Cluster, __: NodeDevices, ___: NodeUsage, before: int | None) -> int:
    """How often the node was computed."""
    return 1 if before is None else before + 1


def test_only_nodes_that_changed_are_computed_again() -> None:
    world, counts = cluster([node("a", [device("A")]), node("b", [device("B")])]), PerNode(count)
    assert counts.now(world) == {"a": 1, "b": 1}
    world.journal.note("b")
    assert counts.now(world) == {"a": 1, "b": 2}
    world.inventory.remove("a")
    assert counts.now(world) == {"b": 2}


def test_what_the_journal_has_forgotten_costs_a_look_but_not_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    world, counts = cluster([node("a", [device("A")]), node("b", [device("B")])]), PerNode(count)
    counts.now(world)
    monkeypatch.setattr(journal, "LONGEST", 2)
    world.inventory.remove("a")
    for _ in range(5):
        world.journal.note("b")
    assert counts.now(world) == {"b": 2}


def test_another_cluster_begins_anew() -> None:
    counts = PerNode(count)
    for _ in range(2):
        assert counts.now(cluster([node("a", [device("A")])])) == {"a": 1}
