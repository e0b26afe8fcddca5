"""Nodes as users write them."""

from __future__ import annotations

import pytest

from hami_operator.sandbox.errors import BadSpec
from hami_operator.sandbox.nodes import Kind, NodeSpec, name_nodes


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("a100-80:8x2", NodeSpec("a100-80", 8, 2)),
        ("t4:4", NodeSpec("t4", 4, 1)),
        ("sim:h100:8x200", NodeSpec("h100", 8, 200, Kind.SIMULATED)),
    ],
)
def test_a_node_is_read(text: str, spec: NodeSpec) -> None:
    assert NodeSpec.parse(text) == spec


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("t4", r"node 't4' is not of the form TYPE:CARDS\[xNODES\]"),
        ("t4:x", r"is not of the form"),
        ("v100:1", r"node 'v100:1': card type 'v100' is not known; known are a100-40,"),
        ("t4:0", r"node 't4:0': cards 0 is not allowed: 1 to 64"),
        ("t4:65", r"cards 65 is not allowed"),
        ("t4:1x0", r"nodes 0 is not allowed: 1 to 2000"),
    ],
)
def test_a_bad_node_is_refused_naming_value_and_what_is_allowed(text: str, problem: str) -> None:
    with pytest.raises(BadSpec, match=problem):
        NodeSpec.parse(text)


def test_an_unknown_release_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadSpec, match=r"'1.0' is not known; known are 2.7, 2.8, 2.9, 2.10"):
        NodeSpec("t4", release="1.0")


def test_nodes_are_numbered_by_type_past_those_that_exist() -> None:
    made = name_nodes([NodeSpec("t4", 1, 2), NodeSpec("a30", 4), NodeSpec("t4", 8)], taken=["t4-1"])
    assert [(state.name, state.cards) for state in made] == [("t4-0", 1), ("t4-2", 1), ("a30-0", 4), ("t4-3", 8)]
