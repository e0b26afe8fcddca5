"""Quotas in the decision: what is charged, who is refused with which sentence, and that used is always a recount."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hami_operator.config import Settings
from hami_operator.core.cluster import Cluster
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.quota import OWN_KIND, QuotaId, read_quota
from hami_operator.core.quotabook import allowances
from hami_operator.core.reasons import Reason
from hami_operator.core.schedule import Blocked, Placement, Unschedulable, schedule
from tests.builders import NOW, bound, cards, cluster, container, device, node, pod_object

GPU, MEM, CORES = "limits.nvidia.com/gpu", "limits.nvidia.com/gpumem", "limits.nvidia.com/gpucores"
SIDECAR = {"restartPolicy": "Always"}


def limited(
    world: Cluster, hard: dict[str, Any], name: str = "team", namespace: str = "default", **spec: Any
) -> Cluster:
    """The same cluster with one more quota object."""
    obj = {"metadata": {"name": name, "namespace": namespace}, "spec": {"hard": hard, **spec}}
    world.quotas.put(read_quota(obj, OWN_KIND, world.quotas.keys))
    return world


def pod(name: str, *containers: Any, namespace: str = "default", **spec: Any) -> Pod:
    return read_pod(pod_object(name, *containers, metadata={"namespace": namespace}, **spec))


def asking(name: str = "p", namespace: str = "default", **short: Any) -> Pod:
    return pod(name, container(**short), namespace=namespace)


def decide(world: Cluster, asked: Pod) -> Placement | Unschedulable:
    """Decide and reserve, as the loop does."""
    world.ledger.forget(asked.key.uid)
    decision = schedule(asked, world, NOW)
    if isinstance(decision, Placement):
        world.ledger.assume(asked, decision.node, decision.allocation)
    return decision


def refusal(decision: Placement | Unschedulable) -> str:
    assert isinstance(decision, Unschedulable), decision
    return decision.message


def used(world: Cluster, name: str = "team", namespace: str = "default") -> dict[str, int]:
    found = world.quotas.get(QuotaId(OWN_KIND, namespace, name))
    assert found is not None
    return {a.key.text: a.used for a in allowances(found, world.ledger.space(namespace).pods.values())}


def two_cards(name: str = "n1", memory: int = 24576) -> Any:
    return node(name, [device(f"{name}-{i}", index=i, memory_mib=memory) for i in range(2)])


# -- certain charges ---------------------------------------------------------------------------------------------


def test_two_cards_of_2000_cost_4000() -> None:
    world = limited(cluster([two_cards()]), {GPU: 2, MEM: 4000, CORES: 100})
    assert isinstance(decide(world, asking(gpu=2, mem=2000, cores=50)), Placement)
    assert used(world) == {GPU: 2, MEM: 4000, CORES: 100}
    refused = decide(world, asking("q", gpu=1, mem=1))
    assert "quota default/team: limits.nvidia.com/gpu asked 1, used 2, hard 2" in refusal(refused)


def test_the_sentence_tells_quota_key_asked_used_and_hard() -> None:
    running = bound("r", "n1", "n1-0,NVIDIA,19000,0:n1-1,NVIDIA,19000,0:;", gpu=2)
    world = limited(cluster([two_cards()], [running]), {MEM: "40000"})
    text = refusal(decide(world, asking(gpu=1, mem=4000)))
    assert (
        text == "ResourceQuotaNotFit (quota default/team: limits.nvidia.com/gpumem asked 4000, used 38000, hard 40000)"
    )


def test_what_alone_is_more_than_hard_is_told_that_it_never_fits() -> None:
    world = limited(cluster([two_cards()]), {MEM: 3000})
    assert refusal(decide(world, asking(gpu=2, mem=2000))).endswith("hard 3000; it can never fit until hard is raised)")
    assert isinstance(decide(world, asking(gpu=1, mem=3000)), Placement)


def test_a_certain_refusal_looks_at_no_node_and_waits_for_the_namespace_alone() -> None:
    world = limited(cluster([two_cards("n1"), two_cards("n2")]), {MEM: 100})
    decision = decide(world, asking(gpu=1, mem=200))
    assert isinstance(decision, Unschedulable)
    assert not decision.waits.nodes
    assert decision.waits.namespace == "default"
    assert decision.blocked == (Blocked(QuotaId(OWN_KIND, "default", "team"), {MEM: "200"}),)
    assert {name: v.refusals[0].reason for name, v in decision.kept.verdicts.items()} == {
        "n1": Reason.RESOURCE_QUOTA_NOT_FIT,
        "n2": Reason.RESOURCE_QUOTA_NOT_FIT,
    }
    assert decision.kept.reasons() == {Reason.RESOURCE_QUOTA_NOT_FIT: 2}
    kept = world.kept(asking(gpu=1, mem=200))
    assert kept.verdicts == {}


def test_zero_blocks_and_no_key_is_no_limit() -> None:
    world = limited(cluster([two_cards()]), {CORES: 0})
    assert isinstance(decide(world, asking("a", gpu=1, mem=1000)), Placement)
    assert "gpucores asked 10, used 0, hard 0" in refusal(decide(world, asking("b", gpu=1, mem=1, cores=10)))
    assert "gpu asked 1, used 1, hard 0" in refusal(decide(limited(world, {GPU: 0}), asking("c", gpu=1, mem=1)))


def test_each_of_several_objects_must_hold() -> None:
    world = limited(limited(cluster([two_cards()]), {MEM: 10000}), {MEM: 3000}, "small")
    assert "quota default/small" in refusal(decide(world, asking(gpu=1, mem=4000)))
    world.quotas.remove(QuotaId(OWN_KIND, "default", "small"))
    assert isinstance(decide(world, asking(gpu=1, mem=4000)), Placement)


def test_a_key_that_an_update_removes_limits_nothing_any_more() -> None:
    world = limited(cluster([two_cards()]), {MEM: 100, GPU: 1})
    assert isinstance(decide(world, asking(gpu=1, mem=4000)), Unschedulable)
    assert isinstance(decide(limited(world, {GPU: 1}), asking(gpu=1, mem=4000)), Placement)


def test_namespaces_do_not_disturb_each_other() -> None:
    world = limited(cluster([two_cards()]), {MEM: 1000}, namespace="a")
    assert isinstance(decide(world, asking("p", "a", gpu=1, mem=1000)), Placement)
    assert isinstance(decide(world, asking("q", "a", gpu=1, mem=1000)), Unschedulable)
    assert isinstance(decide(world, asking("p", "b", gpu=1, mem=1000)), Placement)


def test_scopes_choose_who_is_charged_and_who_is_refused() -> None:
    world = cluster([two_cards()])
    limited(
        world, {MEM: 1000}, scopeSelector={"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}
    )
    assert isinstance(decide(world, asking("plain", gpu=1, mem=5000)), Placement)
    assert used(world) == {MEM: 0}
    assert isinstance(decide(world, pod("high", container(gpu=1, mem=5000), priorityClassName="high")), Unschedulable)
    assert isinstance(decide(world, pod("low", container(gpu=1, mem=900), priorityClassName="low")), Placement)
    assert used(world) == {MEM: 900}


def test_lowering_hard_below_used_evicts_nobody_and_new_pods_wait() -> None:
    world = limited(cluster([two_cards()]), {MEM: 4000})
    decide(world, asking("a", gpu=1, mem=4000))
    limited(world, {MEM: 1000})
    assert "asked 1, used 4000, hard 1000" in refusal(decide(world, asking("b", gpu=1, mem=1)))
    assert used(world) == {MEM: 4000}


def test_a_decision_that_is_undone_or_repeated_is_counted_once() -> None:
    """EX-12: 2.7 counts a pod again with every filter (#1905) and keeps what a completed one had (#1400)."""
    world = limited(cluster([two_cards()]), {MEM: 4000})
    first = asking("a", gpu=1, mem=3000)
    for _ in range(3):
        assert isinstance(decide(world, first), Placement)
        assert used(world) == {MEM: 3000}
    second = asking("b", gpu=1, mem=4000)
    assert isinstance(decide(world, second), Unschedulable)
    world.ledger.confirm(first.key.uid)
    world.ledger.observe(
        read_pod({**pod_object("a", container(gpu=1, mem=3000), nodeName="n1"), "status": {"phase": "Succeeded"}}), NOW
    )
    assert used(world) == {MEM: 0}
    assert isinstance(decide(world, second), Placement)


@pytest.mark.parametrize(
    ("short", "hard", "where"),
    [
        ({"gpu": 2, "mem": 2000, "cores": 100}, (4000, 200), {"device2", "device4"}),
        ({"gpu": 2, "mem": 3000, "cores": 60}, (4000, 200), None),
        ({"gpu": 1}, (2000, 100), {"device1"}),
        ({"gpu": 1}, (1500, 100), None),
    ],
)
def test_ex11(short: dict[str, int], hard: tuple[int, int], where: set[str] | None) -> None:
    sizes = {"device1": 2000, "device2": 8000, "device3": 4000, "device4": 6000}
    devices = [device(name, index=i, memory_mib=mib) for i, (name, mib) in enumerate(sizes.items())]
    world = limited(cluster([node("node1", devices)]), {MEM: hard[0], CORES: hard[1]})
    decision = decide(world, asking(**short))
    if where is None:
        assert "quota default/team: limits.nvidia.com/gpumem" in refusal(decision)
    else:
        assert isinstance(decision, Placement)
        assert len(cards(decision.allocation)) == len(where)
        assert len(where) > 1 or set(cards(decision.allocation)) == where


# -- charges that the card decides -------------------------------------------------------------------------------


def mixed() -> Cluster:
    """A node with cards of 40, 24 and 24 GiB."""
    sizes = (40960, 24576, 24576)
    return cluster([node("n1", [device(f"GPU-{i}", index=i, memory_mib=mib) for i, mib in enumerate(sizes)])])


def test_half_of_a_card_costs_what_the_card_makes_of_it() -> None:
    world = limited(mixed(), {MEM: 50000})
    first = decide(world, asking("a", gpu=1, pct=50))
    assert isinstance(first, Placement)
    assert used(world)[MEM] == (20480 if cards(first.allocation) == ["GPU-0"] else 12288)


def test_a_quota_may_leave_only_the_smaller_cards() -> None:
    """The example of rule 6: two at 50 % with room for 24576."""
    world = limited(mixed(), {MEM: 24576})
    decision = decide(world, asking(gpu=2, pct=50))
    assert isinstance(decision, Placement)
    assert set(cards(decision.allocation)) == {"GPU-1", "GPU-2"}
    assert used(world) == {MEM: 24576}


def test_a_quota_may_leave_only_the_node_of_smaller_cards() -> None:
    large, small = node("a-large", [device("L", memory_mib=81920)]), node("b-small", [device("S", memory_mib=16384)])
    busy = bound("r", "a-large", "L,NVIDIA,1000,0:;", gpu=1)
    world = limited(cluster([large, small], [busy]), {MEM: 10000})
    decision = decide(world, asking(gpu=1, pct=50))
    assert isinstance(decision, Placement)
    assert decision.node == "b-small"
    refused = decide(world, asking("q", gpu=1, pct=50))
    assert "2 nodes ResourceQuotaNotFit(a-large,b-small): quota default/team: limits.nvidia.com/gpumem" in refusal(
        refused
    )
    assert isinstance(refused, Unschedulable)
    assert refused.waits.nodes
    assert refused.waits.namespace == "default"
    assert refused.blocked[0].quota.name == "team"


def test_a_card_that_alone_is_more_than_hard_says_that_it_never_fits_there() -> None:
    world = limited(cluster([two_cards()]), {MEM: 10000})
    text = refusal(decide(world, asking(gpu=1)))
    assert "asked 24576, used 0, hard 10000; here it can never fit until hard is raised" in text


def test_all_containers_are_counted_together_and_init_containers_by_the_larger() -> None:
    """2.7 forgets the other containers of the pod (#1579)."""
    two = [container("a", gpu=1, mem=3000), container("b", gpu=1, mem=3000)]
    world = limited(cluster([two_cards()]), {MEM: 5999})
    assert isinstance(decide(world, pod("p", *two)), Unschedulable)
    assert isinstance(decide(limited(world, {MEM: 6000}), pod("p", *two)), Placement)
    init = [{**container("first", gpu=1, mem=5000)}]
    one_card = limited(cluster([node("n1", [device("X")])]), {MEM: 5000, GPU: 1})
    assert isinstance(decide(one_card, pod("q", container(gpu=1, mem=3000), initContainers=init)), Placement)
    assert used(one_card) == {MEM: 5000, GPU: 1}
    sidecar = [{**container("side", gpu=1, mem=1000), **SIDECAR}, *init]
    wanted = pod("r", container(gpu=1, mem=3000), initContainers=sidecar)
    alone = limited(cluster([node("n1", [device("X")])]), {MEM: 5999})
    assert isinstance(decide(alone, wanted), Unschedulable)
    assert isinstance(decide(limited(alone, {MEM: 6000}), wanted), Placement)


def test_an_init_container_that_is_done_gives_its_part_back() -> None:
    world = limited(cluster([node("n1", [device("X")])]), {MEM: 5000})
    init = [container("first", gpu=1, mem=5000)]
    asked = pod("q", container(gpu=1, mem=3000), initContainers=init)
    placed = decide(world, asked)
    assert isinstance(placed, Placement)
    text = "X,NVIDIA,5000,0:;X,NVIDIA,3000,0:;"
    obj = pod_object("q", container(gpu=1, mem=3000), initContainers=init, nodeName="n1")
    obj["metadata"]["annotations"] = {"hami.io/vgpu-devices-allocated": text}
    obj["status"] = {"phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}]}
    world.ledger.confirm(asked.key.uid)
    world.ledger.observe(read_pod(obj), NOW)
    assert used(world) == {MEM: 3000}


def test_a_share_that_cannot_be_read_blocks_its_family_in_that_namespace() -> None:
    broken = bound("r", "n2", "nonsense,NVIDIA", gpu=1)
    world = limited(cluster([two_cards("n1"), two_cards("n2")], [broken]), {MEM: 90000})
    assert "limits.nvidia.com/gpumem can't be counted: default/r" in refusal(decide(world, asking(gpu=1, mem=1)))


def test_a_malformed_amount_blocks_and_the_pod_is_told_why() -> None:
    world = limited(cluster([two_cards()]), {MEM: "1.5"})
    text = refusal(decide(world, asking(gpu=1, mem=1)))
    assert "quota default/team: limits.nvidia.com/gpumem is '1.5', allowed is an integer" in text


# -- other families ----------------------------------------------------------------------------------------------

NEURON = [p for p in Settings().devices.profiles() if p.key == "AWSNeuron"]


def neuron_node() -> Any:
    status = {"capacity": {"aws.amazon.com/neuron": "2", "aws.amazon.com/neuroncore": "4"}}
    return read_node({"metadata": {"name": "inf"}, "status": {**status, "allocatable": status["capacity"]}})


def test_neuron_is_charged_under_the_name_the_pod_asked_for_and_cores_in_cores() -> None:
    devices, cores = "limits.aws.amazon.com/neuron", "limits.aws.amazon.com/neuroncore"
    world = limited(cluster([neuron_node()], profiles=NEURON), {devices: 1, cores: 1})
    asked = pod("c", container(**{"aws.amazon.com/neuroncore": 1}))
    assert isinstance(decide(world, asked), Placement)
    assert used(world) == {devices: 0, cores: 1}
    whole = pod("d", container(**{"aws.amazon.com/neuron": 1}))
    assert isinstance(decide(world, whole), Placement)
    assert used(world) == {devices: 1, cores: 1}
    more = decide(world, pod("e", container(**{"aws.amazon.com/neuroncore": 1})))
    assert "limits.aws.amazon.com/neuroncore asked 1, used 1, hard 1" in refusal(more)


# -- derived -----------------------------------------------------------------------------------------------------


def test_used_is_a_recount_of_the_pods_after_any_steps_and_never_above_hard() -> None:
    chance = random.Random(7)
    world = cluster([two_cards(f"n{i}") for i in range(4)])
    hard = {MEM: 30000, GPU: 9}
    for namespace in ("a", "b"):
        limited(world, hard, namespace=namespace)
    shapes: list[dict[str, int]] = [{"gpu": 1, "mem": 3000}, {"gpu": 2, "mem": 1500}, {"gpu": 1, "pct": 25}, {"gpu": 1}]
    alive: dict[str, Pod] = {}
    for step in range(2000):
        if alive and chance.random() < 0.45:
            uid = chance.choice(sorted(alive))
            gone = alive.pop(uid)
            (world.ledger.forget if chance.random() < 0.5 else lambda u: world.ledger.gone(u, NOW))(gone.key.uid)
        else:
            asked = asking(f"p{step}", chance.choice("ab"), **chance.choice(shapes))
            decision = decide(world, asked)
            if step % 10 == 0:
                assert _alike(decision, asked, world)
            if isinstance(decision, Placement):
                alive[asked.key.uid] = asked
        for namespace in ("a", "b"):
            counted = recount(world.ledger, alive, namespace)
            assert used(world, namespace=namespace) == counted
            assert all(counted[key] <= hard[key] for key in hard)
            (room,) = world.quotas.rooms(asking("any", namespace, gpu=1)).values()
            assert (room.slots, room.memory_mib) == (hard[GPU] - counted[GPU], hard[MEM] - counted[MEM])
    assert world.ledger.audit() == []


def _alike(decision: Placement | Unschedulable, asked: Pod, world: Cluster) -> bool:
    """Whether a cluster that remembers no verdicts decides the same."""
    world.ledger.forget(asked.key.uid)
    world.forget_answers()
    again = decide(world, asked)
    if isinstance(decision, Placement) and isinstance(again, Placement):
        return (decision.node, decision.allocation.families) == (again.node, again.allocation.families)
    return type(decision) is type(again) and decision.message == again.message


def recount(ledger: Ledger, alive: dict[str, Pod], namespace: str) -> dict[str, int]:
    """From the allocations alone."""
    shares = [
        share
        for uid, one in alive.items()
        if one.key.namespace == namespace and (record := ledger.record(uid)) is not None
        for _, _, share in record.allocation.shares()
    ]
    return {MEM: sum(share.memory_mib for share in shares), GPU: len(shares)}


def test_pods_whom_nodes_refuse_wait_together_whatever_their_namespace_and_its_quotas() -> None:
    full = bound("r", "n1", "X,NVIDIA,24576,0:;", gpu=1)
    world = cluster([node("n1", [device("X")])], [full])
    for namespace in ("a", "b"):
        limited(world, {MEM: 50000}, namespace=namespace)
    waits = [decide(world, asking("p", namespace, gpu=1, mem=1000)) for namespace in ("a", "b", "free")]
    assert all(isinstance(decision, Unschedulable) for decision in waits)
    assert len({decision.waits for decision in waits if isinstance(decision, Unschedulable)}) == 1
