"""The decision: what is kept from earlier ones never shows, the order of input neither, and ties end the same way."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core import protocol
from hami_operator.core.binding import binding_annotations, binding_labels
from hami_operator.core.cluster import SHAPES_KEPT, Cluster, Policies
from hami_operator.core.journal import LONGEST, Journal
from hami_operator.core.model import Allocation, Node, Pod, Share
from hami_operator.core.node_fit import Claim, Surroundings
from hami_operator.core.objects import read_pod
from hami_operator.core.reasons import Reason
from hami_operator.core.schedule import NODES_SHOWN, Placement, Unschedulable, schedule
from tests.builders import NOW, NVIDIA, asking, bound, cards, cluster, container, device, node, pod, pod_object

HOSTNAME = "kubernetes.io/hostname"


def placed(decision: Placement | Unschedulable) -> Placement:
    assert isinstance(decision, Placement), decision.message
    return decision


def refusals(decision: Placement | Unschedulable) -> dict[str, list[str]]:
    return {name: [str(refusal) for refusal in verdict.refusals] for name, verdict in decision.kept.verdicts.items()}


def twins(*names: str) -> list[Node]:
    return [node(name, [device(f"{name}-0")]) for name in names]


def test_among_equal_nodes_the_name_decides_whatever_their_order() -> None:
    for names in itertools.permutations(["n1", "n2", "n10"]):
        assert placed(schedule(asking(gpu=1, mem=1), cluster(twins(*names)), NOW)).node == "n1"


def test_among_equal_nodes_one_that_is_not_busy_is_taken() -> None:
    world = cluster(twins("n1", "n2", "n3"))
    world.set_busy("n1", locked=True)
    assert placed(schedule(asking(gpu=1, mem=1), world, NOW)).node == "n2"
    world.set_busy("n1", locked=False)
    assert placed(schedule(asking(gpu=1, mem=1), world, NOW)).node == "n1"
    for name in ("n1", "n2", "n3"):
        world.set_busy(name, locked=True)
    assert placed(schedule(asking(gpu=1, mem=1), world, NOW)).node == "n1"


def test_a_fuller_node_is_taken_though_it_is_busy() -> None:
    world = cluster(twins("n1", "n2"), [bound("r", "n2", "n2-0,NVIDIA,1000,0:;")])
    world.set_busy("n2", locked=True)
    assert placed(schedule(asking(gpu=1, mem=1), world, NOW)).node == "n2"


def test_the_pods_own_policies_win_over_the_defaults() -> None:
    world = cluster(
        twins("n1", "n2"), [bound("r", "n2", "n2-0,NVIDIA,1000,0:;")], policies=Policies("spread", "spread")
    )
    assert placed(schedule(asking(gpu=1, mem=1), world, NOW)).node == "n1"
    packed = asking(gpu=1, mem=1, annotations={protocol.NODE_POLICY: "binpack"})
    assert placed(schedule(packed, world, NOW)).node == "n2"


def test_a_cluster_without_nodes_says_so() -> None:
    assert schedule(asking(gpu=1), cluster([]), NOW).message == "no available node: the cluster has no nodes"


def test_the_sentence_counts_the_nodes_of_each_reason() -> None:
    full = bound("r", "n1", "n1-0,NVIDIA,24576,100:;")
    decision = schedule(asking(gpu=1, cores=100), cluster([*twins("n1"), node("n9")], [full]), NOW)
    assert decision.message == (
        "no available node, 2 nodes do not meet: 1 nodes CardInsufficientMemory(n1); "
        "1 nodes NodeUnregistered(n9): no NVIDIA cards are registered"
    )
    assert refusals(decision)["n1"] == ["1/1 CardInsufficientMemory"]


def test_a_request_that_cannot_work_is_refused_on_every_node() -> None:
    decision = schedule(asking(gpu=1, mem="3Gi"), cluster(twins("n1", "n2")), NOW)
    assert isinstance(decision, Unschedulable)
    assert decision.message.startswith("InvalidRequest (container 'main': nvidia.com/gpumem is 3Gi")
    assert [verdict.refusals[0].reason for verdict in decision.kept.verdicts.values()] == [Reason.INVALID_REQUEST] * 2


def test_a_constraint_that_is_not_judged_is_named_on_every_node() -> None:
    asked = pod("p", container(gpu=1), resourceClaims=[{"name": "c"}])
    decision = schedule(asked, cluster(twins("n1", "n2")), NOW)
    assert decision.message == "UnsupportedConstraint (spec.resourceClaims needs the extender mode)"
    assert set(decision.kept.verdicts) == {"n1", "n2"}


def test_a_quarantined_node_takes_no_pod_of_that_family_and_others_go_on() -> None:
    world = cluster(twins("n1", "n2"), [bound("r", "n1", "rubbish;")])
    assert placed(schedule(asking(gpu=1, mem=1), world, NOW)).node == "n2"
    assert "NodeQuarantined" in refusals(schedule(asking(gpu=1, mem=1), world, NOW))["n1"][0]
    assert placed(schedule(pod("q", container(cpu=1)), world, NOW)).node == "n1"


def test_a_failing_family_is_left_alone_for_a_while() -> None:
    world = cluster(twins("n1"))
    world.failing.failed(("n1", "NVIDIA"), "some pod", NOW)
    world.journal.note("n1")
    (text,) = refusals(schedule(asking(gpu=1, mem=1), world, NOW))["n1"]
    assert text.startswith("NodeAllocateFailing (NVIDIA")
    assert isinstance(schedule(pod("q", container(cpu=1)), world, NOW), Placement)
    assert world.failing.due(NOW + 10) == [("n1", "NVIDIA")]
    world.journal.note("n1")
    assert isinstance(schedule(asking(gpu=1, mem=1), world, NOW + 10), Placement)


def test_a_card_that_was_given_beyond_its_memory_takes_nobody_and_its_neighbour_does() -> None:
    two = node("n1", [device("a", memory_mib=1000), device("b", memory_mib=1000, index=1)])
    world = cluster([two], [bound(f"r{i}", "n1", "a,NVIDIA,900,0:;") for i in range(2)])
    assert cards(placed(schedule(asking(gpu=1, mem=10), world, NOW)).allocation) == ["b"]


def test_a_pod_without_cards_is_placed_like_any_other() -> None:
    decision = placed(schedule(pod("p", container(cpu=1)), cluster([node("n1")]), NOW))
    assert (decision.node, bool(decision.allocation)) == ("n1", False)


def test_only_the_leading_nodes_are_named() -> None:
    names = [f"n{number:02}" for number in range(NODES_SHOWN + 3)]
    message = placed(schedule(asking(gpu=1, mem=1), cluster(twins(*names)), NOW)).message
    assert message.endswith(",and 3 more)")
    assert len(message.encode()) < 1024


# -- what a Binding carries --------------------------------------------------------------------------------------


def test_a_binding_carries_our_record_the_common_keys_and_the_familys_lists() -> None:
    world = cluster(twins("n1"))
    one = asking(gpu=1, mem=3000, cores=30)
    decision = placed(schedule(one, world, NOW))
    entry = world.inventory.get("n1")
    assert entry is not None
    assert binding_annotations(one, entry, decision.allocation, [NVIDIA], NOW + 0.9) == {
        "hami-operator.io/allocation": '{"NVIDIA":[[["n1-0","NVIDIA",3000,30]]]}',
        "hami.io/vgpu-node": "n1",
        "hami.io/vgpu-time": "1760000000",
        "hami.io/bind-phase": "allocating",
        "hami.io/bind-time": "1760000000",
        "hami.io/vgpu-devices-to-allocate": "n1-0,NVIDIA,3000,30:;",
        "hami.io/vgpu-devices-allocated": "n1-0,NVIDIA,3000,30:;",
    }


def test_a_node_name_that_is_no_label_value_is_not_written_as_a_label() -> None:
    assert binding_labels("n" * 63) == {"hami.io/vgpu-node": "n" * 63}
    assert binding_labels("n" * 64) == {}


# -- what is kept never shows ------------------------------------------------------------------------------------


def test_pods_that_ask_alike_and_weigh_differently_are_answered_apart() -> None:
    world = cluster([node("n1", [device()], status={"allocatable": {"cpu": "1", "nvidia.com/gpu": "10"}})])
    light = pod("light", container(gpu=1, mem=1))
    heavy = pod("heavy", container(gpu=1, mem=1), overhead={"cpu": "2"})
    assert isinstance(schedule(light, world, NOW), Placement)
    assert isinstance(schedule(heavy, world, NOW), Unschedulable)


def test_claims_of_one_name_in_two_namespaces_are_two_claims() -> None:
    around = Surroundings(claims={("default", "data"): Claim(True), ("other", "data"): Claim(True, ())})
    world = cluster(twins("n1"), around=around)
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    for namespace, kind in (("default", Placement), ("other", Unschedulable)):
        obj = pod_object("p", container(gpu=1, mem=1), metadata={"namespace": namespace}, volumes=volumes)
        assert isinstance(schedule(read_pod(obj), world, NOW), kind)


def test_the_oldest_shape_is_forgotten_and_asked_anew() -> None:
    world = cluster(twins("n1"))
    for memory in range(1, SHAPES_KEPT + 10):
        assert isinstance(schedule(asking(gpu=1, mem=memory), world, NOW), Placement)
    world.inventory.remove("n1")
    assert isinstance(schedule(asking(gpu=1, mem=1), world, NOW), Unschedulable)


def test_a_journal_that_dropped_names_makes_everybody_look_again() -> None:
    journal = Journal()
    for number in range(LONGEST + 1):
        journal.note(f"n{number}")
    assert journal.since(0) is None
    assert journal.since(journal.position) == set()
    assert journal.since(journal.position - 1) == {f"n{LONGEST}"}


#: Few enough that a plan asks for one of them several times.
WANTED = [
    {"short": {"gpu": 1, "mem": 300}},
    {"short": {"gpu": 1, "mem": 300}, "policy": "spread"},
    {"short": {"gpu": 1, "mem": 300, "cores": 40}, "labels": {"app": "x"}},
    {"short": {"gpu": 2, "pct": 30, "cores": 0}, "overhead": {"cpu": "1"}},
    {"short": {"gpu": 1, "cores": 100}, "selector": {"zone": "a"}},
]
pods = st.sampled_from(WANTED)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("place"), pods),
        st.tuples(st.just("keep away"), st.sampled_from(["n1", "n2", "n3"])),
        st.tuples(st.just("end"), st.integers(0, 20)),
        st.tuples(st.just("node"), st.sampled_from(["n1", "n2", "n3"])),
        st.tuples(st.just("busy"), st.sampled_from(["n1", "n2", "n3"])),
        st.tuples(st.just("fail"), st.sampled_from(["n1", "n2", "n3"])),
    ),
    min_size=4,
    max_size=25,
)


class Twice:
    """One cluster that keeps its answers, and the same state from which a fresh one is made for every question."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.nodes: dict[str, Node] = {}
        self.running: dict[str, Pod] = {}
        self.reserved: dict[str, tuple[Pod, str, Allocation]] = {}
        self.failing: set[str] = set()
        self.kept = cluster([])
        for name in ("n1", "n2", "n3"):
            self.change(name)

    def change(self, name: str) -> None:
        """A node comes, changes in some way, or goes."""
        draw = self.random
        if name in self.nodes and draw.random() < 0.2:
            del self.nodes[name]
            self.kept.inventory.remove(name)
            return
        devices = [
            device(f"{name}-{i}", index=i, memory_mib=1000, slots=2, healthy=draw.random() < 0.8, numa=i % 2)
            for i in range(draw.randint(1, 3))
        ]
        labels = {"zone": draw.choice("ab")}
        cpu = {"cpu": str(draw.randint(0, 3)), "nvidia.com/gpu": "6"}
        self.nodes[name] = node(name, devices, metadata={"labels": labels}, status={"allocatable": cpu})
        self.kept.inventory.update(self.nodes[name])

    def fresh(self) -> Cluster:
        world = cluster(self.nodes.values(), self.running.values())
        for item, name, allocation in self.reserved.values():
            world.ledger.assume(item, name, allocation)
        for name in self.kept.busy:
            world.set_busy(name, locked=True)
        for name in self.failing:
            world.failing.failed((name, "NVIDIA"), name, NOW)
        return world

    def place(self, uid: str, wanted: dict[str, Any]) -> None:
        policy = {protocol.NODE_POLICY: wanted["policy"]} if wanted.get("policy") else {}
        metadata = {"uid": uid, "labels": wanted.get("labels"), "annotations": policy}
        spec = {"overhead": wanted.get("overhead"), "nodeSelector": wanted.get("selector")}
        asked = read_pod(pod_object(uid, container(**wanted["short"]), metadata=metadata, **spec))
        one, other = schedule(asked, self.kept, NOW), schedule(asked, self.fresh(), NOW)
        assert one.message == other.message
        assert one.kept.verdicts == other.kept.verdicts
        if isinstance(one, Placement):
            assert isinstance(other, Placement)
            assert (one.node, one.allocation.families) == (other.node, other.allocation.families)
            self.kept.ledger.assume(asked, one.node, one.allocation)
            self.reserved[uid] = (asked, one.node, one.allocation)

    def end(self, number: int) -> None:
        everybody = [*self.reserved, *self.running]
        if everybody:
            uid = everybody[number % len(everybody)]
            self.reserved.pop(uid, None)
            self.running.pop(uid, None)
            self.kept.ledger.gone(uid, NOW)

    def fail(self, name: str) -> None:
        """The plugin of a node fails, or is at work again."""
        place = (name, "NVIDIA")
        if name in self.failing:
            self.kept.failing.ended(place, NOW)
            self.kept.failing.forget_pod(name)
        else:
            self.kept.failing.failed(place, name, NOW)
        self.failing ^= {name}
        self.kept.journal.note(name)

    def keep_away(self, uid: str, name: str) -> None:
        rule = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": HOSTNAME}
        term = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
        self.running[uid] = read_pod(pod_object(uid, metadata={"uid": uid}, affinity=term, nodeName=name))
        self.kept.ledger.observe(self.running[uid], NOW)


@given(st.integers(0, 2**16), steps, pods)
def test_a_decision_equals_that_of_a_cluster_without_memory(seed: int, plan: list[Any], last: dict[str, Any]) -> None:
    twice = Twice(seed)
    for number, (step, what) in enumerate([*plan, ("place", last)]):
        if step == "place":
            twice.place(f"p{number}", what)
        elif step == "keep away":
            twice.keep_away(f"p{number}", what)
        elif step == "end":
            twice.end(what)
        elif step == "node":
            twice.change(what)
        elif step == "busy":
            twice.kept.set_busy(what, locked=what not in twice.kept.busy)
        else:
            twice.fail(what)
    assert twice.kept.ledger.audit() == []


@given(st.integers(0, 2**16), st.randoms(use_true_random=False), pods)
def test_the_order_of_input_does_not_show(seed: int, shuffle: random.Random, wanted: dict[str, Any]) -> None:
    twice = Twice(seed)
    nodes = [
        node(entry.name, shuffle.sample(cards_of, len(cards_of)), metadata={"labels": dict(entry.labels)})
        for entry in twice.nodes.values()
        for cards_of in [list(protocol.decode_devices("k", entry.annotations["hami.io/node-nvidia-register"]))]
    ]
    running = [
        bound(f"r{i}", name, protocol.encode_shares([[Share(f"{name}-0", "NVIDIA", 100 * i, 0)]]))
        for i, name in enumerate(("n1", "n2", "n3", "n1"))
    ]
    asked = pod("p", container(**wanted["short"]))
    shuffled = [
        schedule(asked, cluster(shuffle.sample(nodes, len(nodes)), shuffle.sample(running, len(running))), NOW)
        for _ in range(2)
    ]
    straight = schedule(asked, cluster(nodes, running), NOW)
    for decision in shuffled:
        assert decision.message == straight.message
        assert decision.kept.verdicts == straight.kept.verdicts
        if isinstance(straight, Placement):
            assert isinstance(decision, Placement)
            assert decision.allocation.families == straight.allocation.families
