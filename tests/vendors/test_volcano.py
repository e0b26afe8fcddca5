"""Volcano's names: what may be asked, the cards of its plugin, what is written for it, MIG groups; off by default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.errors import InvalidRequest, ProtocolError
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Container, ContainerKind, DeviceRequest, Node
from hami_operator.core.objects import read_node
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW, NVIDIA
from tests.golden import rows
from tests.vendors.binding import bind, pod_of, refusal, world
from tests.vendors.replay import admit, family

VOLCANO = family("volcano-vgpu", volcano={})
REGISTER = VOLCANO.register_key
A100_80 = "NVIDIA-NVIDIA A100-SXM4-80GB"

NUMBER, MEMORY, PERCENT, CORES = (
    f"volcano.sh/vgpu-{word}" for word in ("number", "memory", "memory-percentage", "cores")
)


def vgpu_node(*cards: str, **allocatable: int) -> Node:
    """A node of Volcano's plugin; a card is ``uuid,count,MiB,type,health,mode``."""
    amounts = {NUMBER: 20, MEMORY: 200_000, CORES: 200, **{f"volcano.sh/vgpu-{k}": v for k, v in allocatable.items()}}
    texts = {name: str(amount) for name, amount in amounts.items()}
    return read_node(
        {
            "metadata": {"name": "n1", "annotations": {REGISTER: "".join(f"{card}:" for card in cards)}},
            "status": {"allocatable": texts, "capacity": texts},
        }
    )


def shared(uuid: str = "GPU-a") -> str:
    return f"{uuid},10,24576,NVIDIA-NVIDIA A30,true,hami-core"


def cut(uuid: str = "GPU-x", model: str = A100_80) -> str:
    return f"{uuid},10,81920,{model},true,mig"


def test_it_is_off_unless_the_section_is_there() -> None:
    assert "volcano-vgpu" not in [profile.key for profile in DevicesSection().profiles()]


@pytest.mark.parametrize(
    ("limits", "request_"),
    [
        ({NUMBER: 2, MEMORY: 3000, CORES: 30}, DeviceRequest(2, 3000, None, 30)),
        ({NUMBER: 1}, DeviceRequest(1, None, None, 0)),
        ({MEMORY: 3000}, DeviceRequest(1, 3000, None, 0)),
        ({PERCENT: 50}, DeviceRequest(1, None, 50, 0)),
        ({NUMBER: 1, MEMORY: 3000, PERCENT: 50}, DeviceRequest(1, None, 50, 0)),
        ({CORES: 50}, None),
        ({NUMBER: 0}, None),
    ],
)
def test_amounts_become_a_request(limits: dict[str, Any], request_: DeviceRequest | None) -> None:
    texts = {name: str(value) for name, value in limits.items()}
    assert VOLCANO.request(Container("main", limits=texts)) == request_


def test_memory_alone_is_told_to_the_kubelet_as_one_card() -> None:
    assert admit(VOLCANO, {MEMORY: 3000}, {}).resources == {NUMBER: 1}


def test_a_percentage_beside_memory_wins_and_its_user_is_told() -> None:
    (warning,) = admit(VOLCANO, {NUMBER: 1, MEMORY: 3000, PERCENT: 50}, {}).warnings
    assert "the latter wins" in warning
    assert admit(VOLCANO, {NUMBER: 1, PERCENT: 50}, {}).warnings == ()


@pytest.mark.parametrize("kind", [ContainerKind.INIT, ContainerKind.SIDECAR])
def test_init_containers_get_nothing_from_this_plugin(kind: ContainerKind) -> None:
    with pytest.raises(InvalidRequest, match="app containers alone"):
        VOLCANO.request(Container("setup", kind, limits={NUMBER: "1"}))


# -- the cards ---------------------------------------------------------------------------------------------------


def test_cards_are_read_from_six_fields_and_the_last_mode_is_the_nodes() -> None:
    first, second = VOLCANO.inventory(vgpu_node(shared(), "GPU-b,10,81920,NVIDIA-A100-SXM4-80GB,false,mig,0"))
    assert (first.uuid, first.slots, first.memory_mib, first.cores, first.healthy) == ("GPU-a", 10, 24576, 100, True)
    assert not second.healthy
    assert first.mode == second.mode == "mig"
    assert VOLCANO.inventory(vgpu_node("GPU-a,10,24576,A30,true,mps"))[0].mode == "hami-core"


@pytest.mark.parametrize(
    "card", ["GPU-a,10,24576,A30,true", "GPU-a,10,much,A30,true,mig", "GPU-a,10,1,A30,fine,mig", ",10,1,A30,true,mig"]
)
def test_a_register_that_can_not_be_read_is_told(card: str) -> None:
    with pytest.raises(ProtocolError, match="node-vgpu-register"):
        VOLCANO.inventory(vgpu_node(card))


@pytest.mark.parametrize("name", ["memory", "cores"])
def test_a_plugin_that_serves_only_some_of_its_resources_is_not_at_work(name: str) -> None:
    assert VOLCANO.inventory(vgpu_node(shared(), **{name: 0})) == ()


def test_hamis_names_never_get_cards_of_this_plugin() -> None:
    assert NVIDIA.inventory(vgpu_node(shared())) == ()


# -- what is written ---------------------------------------------------------------------------------------------


def test_what_the_plugin_reads_is_written_with_a_segment_for_every_app_container() -> None:
    there = world(VOLCANO, vgpu_node(shared(), shared("GPU-b")))
    pod = pod_of("p", {}, {NUMBER: 2, MEMORY: 3000, CORES: 30})
    written = bind(there, VOLCANO, pod)
    text = ";GPU-b,NVIDIA,3000,30:GPU-a,NVIDIA,3000,30:"
    assert written == {
        "volcano.sh/vgpu-ids-new": text,
        "volcano.sh/devices-to-allocate": text,
        "volcano.sh/vgpu-node": "n1",
        "volcano.sh/vgpu-time": "1760000000",
        "volcano.sh/bind-phase": "allocating",
        "volcano.sh/bind-time": "1760000000",
    }


def test_a_pod_that_volcano_placed_is_understood_at_its_app_containers() -> None:
    pod = pod_of("p", {NUMBER: 1}, {}, initContainers=[{"name": "init"}])
    text = "GPU-a,NVIDIA,3000,0:"
    running = replace(pod, node_name="n1", annotations={"volcano.sh/vgpu-ids-new": text})
    ledger = Ledger([VOLCANO])
    assert ledger.observe(running, NOW).problems == {}
    record = ledger.record("p")
    assert record is not None
    assert [len(shares) for shares in record.allocation.families["volcano-vgpu"]] == [0, 1, 0]


def test_a_list_of_more_segments_than_containers_is_told() -> None:
    running = replace(
        pod_of("p", {NUMBER: 1}), node_name="n1", annotations={VOLCANO.allocated_key: "a,N,1,0:;b,N,1,0:"}
    )
    assert "more segments" in Ledger([VOLCANO]).observe(running, NOW).problems["volcano-vgpu"]


# -- MIG ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("mig.yaml", "groups"))
def test_groups_give_the_smallest_part(row: dict[str, Any]) -> None:
    there = world(VOLCANO, vgpu_node(cut()))
    places: list[str | None] = []
    for number, memory in enumerate(row["ask"]):
        pod = pod_of(f"p{number}", {NUMBER: 1, MEMORY: memory})
        decision = schedule(pod, there, NOW)
        if isinstance(decision, Placement):
            there.ledger.assume(pod, decision.node, decision.allocation)
            places.append(next(share.place for _, _, share in decision.allocation.shares()))
        else:
            places.append(None)
    assert places == row["get"]


def test_a_part_is_written_in_brackets_and_charged_with_its_own_memory() -> None:
    there = world(VOLCANO, vgpu_node(cut()))
    mig = {"volcano.sh/vgpu-mode": "mig"}
    written = bind(there, VOLCANO, pod_of("p", {NUMBER: 1, MEMORY: 15000}, annotations=mig))
    assert written["volcano.sh/vgpu-ids-new"] == "GPU-x[group2-0],NVIDIA,19968,0:"
    core = pod_of("q", {NUMBER: 1, MEMORY: 1}, annotations={"volcano.sh/vgpu-mode": "hami-core"})
    assert refusal(there, core) == "1/1 CardTypeMismatch"


# -- groups of pods ----------------------------------------------------------------------------------------------

SPREAD = {"scheduling.k8s.io/group-name": "train", "volcano.sh/vgpu-podgroup-policy": "spread"}
SHARE = {NUMBER: 1, MEMORY: 1000}


def test_pods_of_a_group_that_spreads_never_share_a_card() -> None:
    there = world(VOLCANO, vgpu_node(shared(), shared("GPU-b")))
    binpack = {"hami.io/gpu-scheduler-policy": "binpack"}
    cards = [bind(there, VOLCANO, pod_of(f"p{n}", SHARE, annotations={**SPREAD, **binpack})) for n in range(2)]
    assert {written["volcano.sh/vgpu-ids-new"].partition(",")[0] for written in cards} == {"GPU-a", "GPU-b"}
    assert refusal(there, pod_of("p2", SHARE, annotations=SPREAD)) == "2/2 CardNotFoundCustomFilterRule"


def test_a_pod_of_another_group_or_without_the_policy_shares_as_ever() -> None:
    there = world(VOLCANO, vgpu_node(shared()))
    assert bind(there, VOLCANO, pod_of("p", SHARE, annotations=SPREAD))
    assert bind(there, VOLCANO, pod_of("q", SHARE, annotations={**SPREAD, "scheduling.k8s.io/group-name": "serve"}))
    assert bind(there, VOLCANO, pod_of("r", SHARE, annotations={"scheduling.k8s.io/group-name": "train"}))


def test_containers_of_one_pod_of_a_group_share_a_card() -> None:
    written = bind(world(VOLCANO, vgpu_node(shared())), VOLCANO, pod_of("p", SHARE, SHARE, annotations=SPREAD))
    assert written["volcano.sh/vgpu-ids-new"] == "GPU-a,NVIDIA,1000,0:;GPU-a,NVIDIA,1000,0:"


def test_parts_of_one_card_are_not_given_to_two_pods_of_a_group() -> None:
    there = world(VOLCANO, vgpu_node(cut()))
    assert bind(there, VOLCANO, pod_of("p", SHARE, annotations=SPREAD))
    assert refusal(there, pod_of("q", SHARE, annotations=SPREAD)) == "1/1 CardNotFoundCustomFilterRule"
    assert bind(there, VOLCANO, pod_of("r", SHARE))


def test_a_policy_for_groups_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"volcano.sh/vgpu-podgroup-policy must be set one of \[spread\]"):
        admit(VOLCANO, SHARE, {**SPREAD, "volcano.sh/vgpu-podgroup-policy": "binpack"})
