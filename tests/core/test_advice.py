"""Advice is true: what it says, done, lets the pod start; and what is less would not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core.advice import advise, advising
from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from tests.builders import ALLOCATED, NOW, asking, bound, cluster, container, device, node, node_object, pod_object

from .remedies import Small, followed


def busy() -> Cluster:
    """Two nodes of one card: 7 000 MiB of 10 000 taken by two pods on n1, 9 000 of 10 000 by one on n2."""
    nodes = [node("n1", [device("GPU-1", memory_mib=10000)]), node("n2", [device("GPU-2", memory_mib=10000)])]
    running = [
        bound("small", "n1", "GPU-1,NVIDIA,2000,0:;", gpu=1, mem=2000),
        bound("large", "n1", "GPU-1,NVIDIA,5000,0:;", gpu=1, mem=5000),
        bound("other", "n2", "GPU-2,NVIDIA,9000,0:;", gpu=1, mem=9000),
    ]
    return cluster(nodes, running)


def starts(pod: Pod, world: Cluster) -> bool:
    return isinstance(schedule(pod, world, NOW), Placement)


def test_the_largest_memory_that_fits_is_named_and_one_more_would_not_do() -> None:
    world = busy()
    (sentence, *_) = advise(asking(gpu=1, mem=6000), world, NOW)
    assert sentence == "fits on n1 with nvidia.com/gpumem 3000 or less"
    assert starts(asking(gpu=1, mem=3000), world)
    assert not starts(asking(gpu=1, mem=3001), world)


def test_the_smallest_pod_whose_end_would_do_is_named() -> None:
    world = busy()
    assert "fits when default/small ends (on n1)" in advise(asking(gpu=1, mem=5000), world, NOW)
    assert "fits when default/large ends (on n1)" in advise(asking(gpu=1, mem=6000), world, NOW)


def test_a_count_that_would_do_is_named() -> None:
    world = busy()
    assert advise(asking(gpu=4, mem=100), world, NOW) == ["fits on n1 with nvidia.com/gpu 1"]


def test_percentages_and_cores_that_would_do_are_named() -> None:
    world = busy()
    assert advise(asking(gpu=1, pct=80), world, NOW)[0] == "fits on n1 with nvidia.com/gpumem-percentage 30 or less"
    one = cluster(
        [node("n1", [device("GPU-1")])], [bound("a", "n1", "GPU-1,NVIDIA,100,60:;", gpu=1, mem=100, cores=60)]
    )
    assert advise(asking(gpu=1, mem=100, cores=50), one, NOW)[0] == "fits on n1 with nvidia.com/gpucores 40 or less"


MEM, GPUS = "limits.nvidia.com/gpumem", "limits.nvidia.com/gpu"


def under_quota(waiting: dict[str, Any], **hard: int) -> Small:
    """The busy world, its namespace within a quota of which 16 000 MiB and 3 shares are used."""
    nodes = [
        node_object("n1", [device("GPU-1", memory_mib=10000)]),
        node_object("n2", [device("GPU-2", memory_mib=10000)]),
    ]
    names = {"mem": MEM, "gpu": GPUS}
    return Small(
        nodes,
        [
            running("small", "n1", "GPU-1", 2000),
            running("large", "n1", "GPU-1", 5000),
            running("other", "n2", "GPU-2", 9000),
        ],
        waiting,
        {names[key]: str(value) for key, value in hard.items()},
    )


def running(name: str, on: str, card: str, memory: int) -> dict[str, Any]:
    annotations = {"hami.io/vgpu-node": on, ALLOCATED: f"{card},NVIDIA,{memory},0:;"}
    return pod_object(name, container(gpu=1, mem=memory), metadata={"annotations": annotations}, nodeName=on)


def test_how_much_more_a_quota_would_have_to_give_is_named() -> None:
    small = under_quota(pod_object("p", container(gpu=1, mem=2500)), mem=17000)
    assert advise(read_pod(small.waiting), small.cluster(), NOW) == [
        "fits on n1 with nvidia.com/gpumem 1000 or less",
        f"fits when quota default/team gets {MEM} 1500 more",
        "fits when default/small ends (on n1)",
        "fits when default/other ends (on n2)",
    ]


def test_every_key_that_lacks_is_named() -> None:
    small = under_quota(pod_object("p", container(gpu=1, pct=20)), mem=17000, gpu=3)
    (sentence,) = [s for s in advise(read_pod(small.waiting), small.cluster(), NOW) if "quota" in s]
    assert sentence == f"fits when quota default/team gets {GPUS} 1 more, {MEM} 1000 more"


def test_a_quota_is_no_advice_where_the_nodes_have_no_room_either() -> None:
    small = under_quota(pod_object("p", container(gpu=1, mem=9500)), mem=17000)
    assert not [sentence for sentence in advise(read_pod(small.waiting), small.cluster(), NOW) if "quota" in sentence]


def test_an_annotation_in_the_way_is_named() -> None:
    world = cluster([node("n1", [device("GPU-1", type="NVIDIA-Tesla T4")])])
    picky = asking(gpu=1, mem=100, annotations={"nvidia.com/use-gputype": "A100"})
    assert advise(picky, world, NOW) == ["fits on n1 without the annotation nvidia.com/use-gputype"]


def test_a_sick_card_beside_it_does_not_hide_a_node() -> None:
    devices = [device("GPU-1", memory_mib=10000), device("GPU-2", index=1, healthy=False)]
    world = cluster([node("n1", devices)])
    assert advise(asking(gpu=1, mem=12000), world, NOW)[0] == "fits on n1 with nvidia.com/gpumem 10000 or less"


def test_only_tolerations_that_are_needed_are_named_and_none_for_a_state_of_the_node() -> None:
    taints = [{"key": key, "effect": "NoSchedule"} for key in ("gpu", "team")]
    world = cluster([node("n1", [device("GPU-1")], spec={"taints": taints})])
    tolerant = read_pod(pod_object("p", container(gpu=1, mem=100), tolerations=[{"key": "gpu", "operator": "Exists"}]))
    assert advise(tolerant, world, NOW) == ["fits on n1 with a toleration for team:NoSchedule"]
    lost = cluster(
        [
            node(
                "n1",
                [device("GPU-1")],
                spec={"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]},
            )
        ]
    )
    assert advise(asking(gpu=1, mem=100), lost, NOW) == []


def fingerprint(world: Cluster) -> list[Any]:
    """All that a decision or a follower of the cluster could see."""
    ledger, nodes = world.ledger, [entry.node.name for entry in world.inventory]
    return [
        world.journal.position,
        sorted(ledger.touched),
        list(ledger.records()),
        [repr(ledger.usage(name)) for name in nodes],
        [(name, ledger.space(name).version, list(ledger.space(name).pods)) for name in ("default", "other")],
        [(name, list(world.quotas.of(name))) for name in world.quotas.namespaces()],
        [world.inventory.get(name) for name in nodes],
        ledger.audit(),
    ]


@pytest.mark.parametrize(
    "waiting", [{"gpu": 1, "mem": 6000}, {"gpu": 1, "mem": 2500}, {"gpu": 2, "pct": 50}, {"gpu": 1, "mem": 500}]
)
def test_asking_changes_nothing_at_any_step(waiting: dict[str, Any]) -> None:
    small = under_quota(pod_object("p", container(**waiting)), mem=17000)
    world = small.cluster()
    before = fingerprint(world)
    for _ in advising(read_pod(small.waiting), world, NOW):
        assert fingerprint(world) == before


def test_the_cluster_may_change_between_two_steps() -> None:
    """What is asked is a copy: the answers are those of the beginning."""
    small = under_quota(pod_object("p", container(gpu=1, mem=2500)), mem=17000)
    world, told = small.cluster(), []
    for sentence in advising(read_pod(small.waiting), world, NOW):
        world.inventory.remove("n1")
        world.ledger.gone("", NOW)
        told.append(sentence)
    assert [s for s in told if s] == advise(read_pod(small.waiting), small.cluster(), NOW)


def test_a_pod_that_nothing_helps_ends_the_questions_early() -> None:
    """A thousand nodes: only a few are asked."""
    world = cluster([node(f"n{number}", [device(f"GPU-{number}")]) for number in range(1000)])
    steps = list(advising(asking(gpu=1, mem=30000, annotations={"nvidia.com/use-gputype": "A30"}), world, NOW))
    assert len(steps) < 100


def test_a_toleration_or_a_selector_in_the_way_is_named() -> None:
    taints = [{"key": "gpu", "value": "only", "effect": "NoSchedule"}]
    tainted = cluster([node("n1", [device("GPU-1")], spec={"taints": taints})])
    assert advise(asking(gpu=1, mem=100), tainted, NOW) == ["fits on n1 with a toleration for gpu=only:NoSchedule"]
    picky = read_pod(pod_object("p", container(gpu=1, mem=100), nodeSelector={"zone": "moon"}))
    assert advise(picky, cluster([node("n1", [device("GPU-1")])]), NOW) == ["fits on n1 without spec.nodeSelector"]


def test_what_fits_needs_no_advice_and_what_nothing_simple_would_help_gets_none() -> None:
    world = busy()
    assert advise(asking(gpu=1, mem=100), world, NOW) == []
    broken = cluster([node("n1", [device("GPU-1", healthy=False)])])
    assert advise(asking(gpu=1, mem=100), broken, NOW) == []


@pytest.mark.parametrize("asked", [3500, 5000, 6500, 9999])
def test_each_advice_to_take_less_is_followed_to_a_start(asked: int) -> None:
    world = busy()
    for sentence in advise(asking(gpu=1, mem=asked), world, NOW):
        if " with nvidia.com/gpumem " in sentence:
            amount = int(sentence.split("gpumem ")[1].split()[0])
            assert starts(asking(gpu=1, mem=amount), world)


WAYS = st.fixed_dictionaries(
    {"gpu": st.integers(1, 4)},
    optional={"mem": st.integers(1, 12) | st.just(30), "pct": st.integers(1, 100), "cores": st.integers(0, 100)},
)


@st.composite
def worlds(draw: st.DrawFn) -> Small:
    """Two nodes with a few cards and pods, a quota or none, taints, and a pod with something in its way."""
    nodes, pods = [], []
    for name in ("n1", "n2"):
        cards = [
            device(f"{name}-{i}", index=i, memory_mib=10, type=draw(st.sampled_from(["A", "B"])))
            for i in range(draw(st.integers(1, 3)))
        ]
        taints = [{"key": "k", "value": "v", "effect": "NoSchedule"}] * draw(st.booleans())
        labels = {"zone": draw(st.sampled_from(["a", "b"]))}
        nodes.append(node_object(name, cards, metadata={"labels": labels}, spec={"taints": taints}))
        for number in range(draw(st.integers(0, 3))):
            card = draw(st.sampled_from(cards))
            pods.append(running(f"{name}-{number}", name, card.uuid, draw(st.integers(1, 3))))
    for pod in pods:
        pod["metadata"]["uid"] = pod["metadata"]["name"]
    annotations = {"nvidia.com/use-gputype": "A"} if draw(st.booleans()) else {}
    spec = {"nodeSelector": {"zone": "a"}} if draw(st.booleans()) else {}
    asked = container(**draw(WAYS))
    waiting = pod_object("p", asked, metadata={"annotations": annotations, "uid": "p"}, **spec)
    hard = draw(st.dictionaries(st.sampled_from([MEM, GPUS]), st.integers(1, 20).map(str)))
    return Small(nodes, pods, waiting, hard)


@given(worlds())
def test_every_piece_of_advice_is_followed_to_a_start(small: Small) -> None:
    for sentence in advise(read_pod(small.waiting), small.cluster(), NOW):
        after = followed(small, sentence)
        assert starts(read_pod(after.waiting), after.cluster()), sentence
