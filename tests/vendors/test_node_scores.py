"""Terms of families in the choice of a node: what is better is taken under either policy (B13)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import pytest

from hami_operator.core.model import Node
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import Profile
from tests.builders import NOW, cluster, node
from tests.vendors.binding import pod_of
from tests.vendors.replay import family

ASCEND, VASTAI = family("Ascend910B3", vnpus={}), family("Vastai")


def ascend(name: str, groups: Sequence[int]) -> Node:
    cards = [
        {"id": f"{name}-{i}", "index": i, "count": 4, "devmem": 65536, "devcore": 20, "type": "Ascend910B3"}
        | {"health": True, "custominfo": {"NetworkID": group}}
        for i, group in enumerate(groups)
    ]
    return node(name, metadata={"annotations": {ASCEND.register_key: json.dumps(cards)}})


def vastai(name: str, groups: Sequence[int]) -> Node:
    cards = [
        {"id": f"{name}-{i}", "index": i, "count": 1, "type": "Vastai", "health": True}
        | {"custominfo": {"DeviceStrategy": "die", "AIC": str(group)}}
        for i, group in enumerate(groups)
    ]
    return node(name, metadata={"annotations": {VASTAI.register_key: json.dumps(cards)}})


@pytest.mark.parametrize("policy", ["binpack", "spread"])
@pytest.mark.parametrize(
    ("profile", "make", "amounts"),
    [
        pytest.param(ASCEND, ascend, {"huawei.com/Ascend910B3": 2}, id="Ascend"),
        pytest.param(VASTAI, vastai, {"vastaitech.com/va": 2}, id="Vastai"),
    ],
)
def test_the_node_that_keeps_a_containers_cards_together_wins(
    profile: Profile, make: Callable[[str, Sequence[int]], Node], amounts: Mapping[str, int], policy: str
) -> None:
    """HAMi adds the term whatever the policy, and under spread the lowest sum wins. The worse node comes first."""
    there = cluster([make("a", [0, 1]), make("b", [1, 1])], profiles=[profile])
    decision = schedule(pod_of("p", amounts, annotations={"hami.io/node-scheduler-policy": policy}), there, NOW)
    assert isinstance(decision, Placement), decision
    assert decision.node == "b"
