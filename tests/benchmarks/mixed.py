"""Decisions on a fleet of many vendors, whose nodes are those that their plugins register in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from hami_operator.config import DevicesSection, Settings
from hami_operator.core import protocol
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.schedule import Placement, schedule
from hami_operator.sandbox.cards import card_type, cards_of
from hami_operator.sandbox.plugins import Desk

from .decide import from_nothing, warm
from .harness import Bench, Row, alternate
from .worlds import pod_object

NODES, PODS, ROUNDS = 1000, 20_000, 7

#: Nodes that are left for each shape when the world is filled.
LEFT = 30

#: Card types of twelve families with the cards of a node, and what pods ask of them as the webhook leaves it.
FLEET: dict[tuple[str, int], tuple[dict[str, Any], ...]] = {
    ("h100", 8): (
        {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 3000},
        {"nvidia.com/gpu": 2, "nvidia.com/gpumem-percentage": 50},
        {"nvidia.com/gpu": 4, "nvidia.com/gpumem": 20000, protocol.CARD_POLICY: "topology-aware"},
    ),
    ("mlu370", 8): (
        {"cambricon.com/vmlu": 1, "cambricon.com/mlu.smlu.vmemory": 4, "cambricon.com/mlu.smlu.vcore": 10},
    ),
    ("k100-ai", 8): ({"hygon.com/dcunum": 1, "hygon.com/dcumem": 2000, "hygon.com/dcucores": 10},),
    ("mr-v100", 8): ({"iluvatar.ai/vgpu": 1, "iluvatar.ai/vcuda-memory": 16, "iluvatar.ai/vcuda-core": 10},),
    ("s4000", 8): ({"mthreads.com/vgpu": 1, "mthreads.com/sgpu-memory": 8, "mthreads.com/sgpu-core": 2},),
    ("s60-shared", 8): ({"enflame.com/vgcu": 1, "enflame.com/vgcu-percentage": 33, "enflame.com/shared-gcu": 2},),
    ("metax-c500", 8): ({"metax-tech.com/gpu": 2},),
    ("metax-c500-sgpu", 8): ({"metax-tech.com/sgpu": 1, "metax-tech.com/vcore": 10, "metax-tech.com/vmemory": 4},),
    ("kunlun-p800-vxpu", 8): (
        {"kunlunxin.com/vxpu": 1, "kunlunxin.com/vxpu-memory": 24576},
        {"kunlunxin.com/vxpu": 2, "kunlunxin.com/vxpu-memory": 24576},
    ),
    ("trn1", 16): ({"aws.amazon.com/neuroncore": 1},),
    ("mi300x", 8): ({"amd.com/gpu": 1, "amd.com/gpumem": 4096, "amd.com/gpucores": 10},),
    ("ascend910b3", 8): (
        {"huawei.com/Ascend910B3": 1, "huawei.com/Ascend910B3-memory": 16384},
        {"huawei.com/Ascend910B3": 2},
    ),
}


def node_object(index: int, card: str, cards: int) -> dict[str, Any]:
    """A node as the kubelet and the family's plugin leave it."""
    habits, name = card_type(card).habits, f"node-{index:05}"
    release = list(habits.releases.values())[-1]
    devices = cards_of(name, card_type(card), cards, release)
    counted = {resource: str(amount) for resource, amount in habits.amounts(habits, devices).items()}
    amounts = {"cpu": "128", "memory": "1Ti", "pods": "250", **counted}
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, **habits.labels},
            "annotations": habits.publish(Desk(name, habits, release, devices)),
        },
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def asking(index: int, asked: dict[str, Any]) -> Pod:
    """A pod that asks for this; a key of the protocol is an annotation."""
    obj = pod_object(index)
    annotations = {key: value for key, value in asked.items() if key.startswith("hami.io/")}
    limits = {"cpu": "500m", **{key: str(value) for key, value in asked.items() if key not in annotations}}
    obj["metadata"]["annotations"] = annotations
    obj["spec"]["containers"][0]["resources"] = {"limits": limits, "requests": limits}
    return read_pod(obj)


def shapes() -> list[dict[str, Any]]:
    return [asked for several in FLEET.values() for asked in several]


def fleet(nodes: int = NODES, pods: int = PODS) -> Cluster:
    """The families' nodes in turns, and up to so many running pods of all shapes, placed by the engine itself."""
    settings = Settings(devices=DevicesSection(vnpus={}))
    profiles = settings.devices.profiles()
    world = Cluster(profiles, settings.policies.values(), Inventory(profiles), Ledger(profiles))
    for index, (card, cards) in enumerate(islice(cycle(FLEET), nodes)):
        world.inventory.update(read_node(node_object(index, card, cards)))
    for index, asked in enumerate(islice(cycle(shapes()), pods)):
        pod = asking(1_000_000 + index, asked)
        decision = schedule(pod, world, 0.0)
        if isinstance(decision, Placement) and decision.kept.fitting > LEFT:
            world.ledger.assume(pod, decision.node, decision.allocation)
            world.ledger.confirm(pod.key.uid)
    return world


def run() -> Iterator[Row]:
    world, pods = fleet(), [asking(index, asked) for index, asked in enumerate(shapes())]
    running = sum(len(world.ledger.usage(entry.node.name).pods) for entry in world.inventory)
    medians = alternate({"decide": warm(world, pods), "rebuild": from_nothing(world, pods)}, ROUNDS)
    yield Row(
        id="decide-mixed",
        what=(
            f"full-rebuild reference over warm decision, 1 000 nodes of {len(FLEET)} families, {len(pods)} shapes, "
            f"{running} pods"
        ),
        ratio=medians["rebuild"] / medians["decide"],
        arms=medians,
        rounds=ROUNDS,
        must=300,
        strive=1000,
        more_is_better=True,
    )


BENCH = Bench("decide-mixed", run)
