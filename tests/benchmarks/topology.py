"""What linked cards cost: as the cluster grows, and over as many cards of which any would do."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hami_operator.config import Settings
from hami_operator.core import protocol
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Device, Pod
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.schedule import Placement, schedule
from hami_operator.vendors.nvidia import LINK_SCORES

from .harness import Bench, Row, alternate, seconds_per_call
from .worlds import pod_object, running_object

ROUNDS, CALLS = 9, 300

#: Pods that are on their cards at a time.
ALIVE = 20

#: NVLinks between two cards of a group of four, and between a card and its like in the next group; else PCIe alone.
NEAR, ACROSS, PCIE = 200, 100, 20
GROUP = 4

#: Card policies: by links, and by use alone.
LINKED, PLAIN = "topology-aware", "binpack"


def score(a: int, b: int) -> int:
    """Points of a pair: groups of four, each card linked with its like in the groups beside."""
    if a // GROUP == b // GROUP:
        return NEAR
    return ACROSS if abs(a - b) == GROUP else PCIE


def node_object(index: int, cards: int) -> dict[str, Any]:
    """A node of so many linked cards, which its label tells."""
    name = f"node-{index:05}"
    devices = [
        Device(f"GPU-{index:05}-{card}", card, 10, 81920, 100, "NVIDIA-NVIDIA A100", card // 8, True, "hami-core")
        for card in range(cards)
    ]
    links = [
        {"uuid": a.uuid, "score": {b.uuid: score(a.index, b.index) for b in devices if b is not a}} for a in devices
    ]
    return {
        "metadata": {
            "name": name,
            "annotations": {
                "hami.io/node-nvidia-register": protocol.encode_devices_text(devices),
                LINK_SCORES: json.dumps(links),
            },
            "labels": {"kubernetes.io/hostname": name, "cards": str(cards)},
        },
        "status": {
            "allocatable": {"cpu": "128", "memory": "1Ti", "pods": "250", "nvidia.com/gpu": str(cards * 10)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def world(nodes: int) -> Cluster:
    """Half of the nodes with 8 cards, half with 16; up to three cards of each are in use, in many patterns."""
    settings = Settings()
    profiles = settings.devices.profiles()
    result = Cluster(profiles, settings.policies.values(), Inventory(profiles), Ledger(profiles))
    number = 0
    for index in range(nodes):
        cards = 8 if index % 2 else 16
        result.inventory.update(read_node(node_object(index, cards)))
        for used in range(index % 4):
            card = (index // 4 * (used + 1) + used) % 8
            result.ledger.observe(read_pod(running_object(number, index * 8 + card)), 0.0)
            number += 1
    return result


def asking(index: int, cards: int, of: int, policy: str) -> Pod:
    """A pod that asks for so many whole cards of a node that has ``of``, linked where the policy is ``LINKED``."""
    obj = pod_object(index)
    limits = {"cpu": "500m", "nvidia.com/gpu": str(cards), "nvidia.com/gpucores": "100"}
    obj["metadata"]["annotations"] = {protocol.CARD_POLICY: policy}
    obj["spec"]["nodeSelector"] = {"cards": str(of)}
    obj["spec"]["containers"][0]["resources"] = {"limits": limits, "requests": limits}
    return read_pod(obj)


def rolling(world: Cluster, pods: Sequence[Pod]) -> Callable[[], float]:
    """Seconds of a decision while the newest pods stay on their cards: what is free takes ever new shapes."""
    order = itertools.cycle(pods)
    numbers = itertools.count()
    decided: list[tuple[Pod, Placement]] = []
    alive: deque[str] = deque()

    def decide() -> None:
        one = next(order)
        decision = schedule(one, world, 0.0)
        assert isinstance(decision, Placement), decision.message
        decided.append((one, decision))

    def reserve() -> None:
        one, decision = decided.pop()
        key = replace(one.key, uid=f"alive-{next(numbers)}")
        world.ledger.assume(replace(one, key=key), decision.node, decision.allocation)
        alive.append(key.uid)
        if len(alive) > ALIVE:
            world.ledger.forget(alive.popleft())

    def measure() -> float:
        for _ in range(2 * ALIVE):
            decide()
            reserve()
        return seconds_per_call(decide, CALLS, reserve)

    return measure


def run() -> Iterator[Row]:
    pods = [asking(1, 4, 8, LINKED), asking(2, 8, 16, LINKED)]
    large = world(1000)
    medians = alternate({"1000": rolling(large, pods), "100": rolling(world(100), pods)}, ROUNDS)
    what = "4 of 8 and 8 of 16 linked cards, warm, 1 000 nodes over 100 nodes"
    yield Row("topology-growth", what, medians["1000"] / medians["100"], medians, ROUNDS, 12, 1.6)

    medians = alternate({"linked": rolling(large, pods[:1]), "plain": rolling(large, [asking(3, 4, 8, PLAIN)])}, ROUNDS)
    what = "4 of 8 linked cards over a plain 4-card request, 1 000 nodes"
    yield Row("topology-cost", what, medians["linked"] / medians["plain"], medians, ROUNDS, 10, 4)


BENCH = Bench("topology", run)
