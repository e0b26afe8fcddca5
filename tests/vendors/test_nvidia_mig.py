"""NVIDIA MIG, from the register to the annotations: sequences on a card, EX-10, and what pods say of their parts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hami_operator.core import protocol
from hami_operator.core.cluster import Cluster
from hami_operator.core.errors import ProtocolError
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Device, Node, Share
from hami_operator.core.objects import read_node
from hami_operator.core.schedule import Placement, schedule
from tests.builders import ALLOCATED, NOW, NVIDIA, REGISTER, asking, bound, cluster, container, device, node, pod
from tests.golden import rows
from tests.vendors.binding import bind, refusal

ALLOCATIONS = "hami.io/vgpu-mig-allocations"

A100 = "NVIDIA-NVIDIA A100-SXM4-40GB"

#: What a recent driver tells of an A100 of 40 GB.
PROFILES = [
    {"name": name, "memoryMB": memory, "core": core, "sliceCount": count, "placements": places}
    for name, memory, core, count, places in (
        ("1g.5gb", 4864, 14, 1, [{"start": start, "size": 1} for start in range(7)]),
        ("2g.10gb", 9984, 29, 2, [{"start": start, "size": 2} for start in (0, 2, 4)]),
        ("3g.20gb", 20096, 43, 3, [{"start": start, "size": 4} for start in (0, 4)]),
        ("7g.40gb", 40448, 100, 7, [{"start": 0, "size": 8}]),
    )
]


def card(uuid: str = "GPU-x", **fields: Any) -> Device:
    return device(uuid, **{"type": A100, "memory_mib": 40960, "mode": "mig", **fields})


def placing(*uuids: str, profiles: Any = PROFILES) -> Node:
    """A node of HAMi v2.10's plugin with these cards."""
    cards = [card(uuid, index=index, slots=7, custom={"migProfiles": profiles}) for index, uuid in enumerate(uuids)]
    text = protocol.encode_devices_json(cards, "NVIDIA")
    return read_node({"metadata": {"name": "n1", "annotations": {REGISTER: text}}})


def replay(there: Cluster, row: dict[str, Any]) -> list[str | None]:
    """The place that each request of a sequence gets."""
    places: list[str | None] = []
    for number, memory in enumerate(row["ask"]):
        amounts = {} if memory is None else {"mem": memory}
        decision = schedule(asking(f"p{number}", gpu=1, **amounts), there, NOW)
        if isinstance(decision, Placement):
            there.ledger.assume(asking(f"p{number}", gpu=1, **amounts), decision.node, decision.allocation)
            ((share,),) = decision.allocation.families["NVIDIA"]
            places.append(share.place)
        else:
            places.append(None)
    return places


@pytest.mark.parametrize("row", rows("mig.yaml", "layouts"))
def test_a_card_that_is_cut_as_a_whole_gives_the_smallest_part(row: dict[str, Any]) -> None:
    there = cluster([node("n1", [card(type=row["model"], memory_mib=row["memory"])])])
    assert replay(there, row) == row["get"]
    assert row.get("reference") != row["get"]


@pytest.mark.parametrize("row", rows("mig.yaml", "placements"))
def test_a_card_that_tells_its_profiles_gives_them_place_by_place(row: dict[str, Any]) -> None:
    assert replay(cluster([placing("GPU-x")]), row) == row["get"]


# -- EX-10 -------------------------------------------------------------------------------------------------------


def test_a_container_gets_two_parts_of_one_card() -> None:
    """EX-10, with the smallest part first where HAMi goes on in the order of the list: its next two are 1-2 and 1-3."""
    other = device("GPU-o", memory_mib=40960, type=A100)
    there = cluster([node("n1", [other, card(index=1)])])
    mig = {"nvidia.com/vgpu-mode": "mig"}
    written = bind(there, NVIDIA, asking("a", gpu=2, mem=8000, annotations=mig))
    assert written[ALLOCATED] == "GPU-x[1-0],NVIDIA,10240,0:GPU-x[1-1],NVIDIA,10240,0:;"
    assert written[NVIDIA.to_allocate_key] == written[ALLOCATED]
    assert ALLOCATIONS not in written
    assert bind(there, NVIDIA, asking("b", gpu=1, mem=4000, annotations=mig))[ALLOCATED] == "GPU-x[1-3],NVIDIA,5120,0:;"
    assert (
        bind(there, NVIDIA, asking("c", gpu=1, mem=4000, annotations=mig))[ALLOCATED] == "GPU-x[1-2],NVIDIA,10240,0:;"
    )
    last = refusal(there, asking("d", gpu=1, mem=4000, annotations=mig))
    assert last == "1/2 CardNotFoundCustomFilterRule, 1/2 CardTypeMismatch"


def test_cards_are_not_counted_where_they_come_in_parts() -> None:
    there = cluster([node("n1", [card()])])
    assert bind(there, NVIDIA, asking("a", gpu=2, mem=8000))[ALLOCATED].count("GPU-x[") == 2
    assert refusal(there, asking("b", gpu=3, mem=4000)) == "1/1 AllocatedCardsInsufficientRequest"
    assert refusal(there, asking("c", gpu=8, mem=4000)) == "NodeInsufficientDevice (1 cards, 8 asked)"


def test_containers_of_a_pod_never_share_a_part() -> None:
    there = cluster([node("n1", [card()])])
    two = pod("p", container("a", gpu=1, mem=8000), container("b", gpu=1, mem=8000))
    assert bind(there, NVIDIA, two)[ALLOCATED] == "GPU-x[1-0],NVIDIA,10240,0:;GPU-x[1-1],NVIDIA,10240,0:;"


def test_an_init_containers_part_is_its_own_until_the_pod_ends() -> None:
    """Its plugin cuts the parts of all containers before the first one runs."""
    there = cluster([node("n1", [card()])])
    one = pod("p", container(gpu=1, mem=8000), initContainers=[container("init", gpu=1, mem=8000)])
    written = bind(there, NVIDIA, one)
    assert written[ALLOCATED] == "GPU-x[1-0],NVIDIA,10240,0:;GPU-x[1-1],NVIDIA,10240,0:;"
    running = replace(one, annotations=written, node_name="n1", init_done=True, resource_version="2")
    there.ledger.observe(running, NOW)
    assert bind(there, NVIDIA, asking("q", gpu=1, mem=8000))[ALLOCATED] == "GPU-x[1-2],NVIDIA,10240,0:;"


def test_an_empty_card_is_cut_anew() -> None:
    there = cluster([node("n1", [card()])])
    bind(there, NVIDIA, asking("a", gpu=1, mem=4000))
    assert refusal(there, asking("b", gpu=1, mem=8000)) == "1/1 CardNotFoundCustomFilterRule"
    assert there.ledger.forget("default/a").freed
    assert bind(there, NVIDIA, asking("b", gpu=1, mem=8000))[ALLOCATED] == "GPU-x[1-0],NVIDIA,10240,0:;"


# -- HAMi v2.10's plugin -----------------------------------------------------------------------------------------


def test_parts_of_a_card_that_tells_its_profiles_stand_in_their_own_annotation() -> None:
    there = cluster([placing("GPU-x")])
    two = pod("p", container("a", gpu=2, mem=8000), container("b", gpu=1, mem=4000))
    written = bind(there, NVIDIA, two)
    assert written[ALLOCATED] == "GPU-x,NVIDIA,9984,29:GPU-x,NVIDIA,9984,29:;GPU-x,NVIDIA,4864,14:;"
    assert json.loads(written[ALLOCATIONS]) == [
        {"containerIndex": c, "deviceIndex": d, "gpuUUID": "GPU-x", "profile": profile, "placement": place}
        for c, d, profile, place in (
            (0, 0, "2g.10gb", {"start": 0, "size": 2}),
            (0, 1, "2g.10gb", {"start": 2, "size": 2}),
            (1, 0, "1g.5gb", {"start": 6, "size": 1}),
        )
    ]
    assert refusal(there, asking("q", gpu=1, mem=15000)) == "1/1 CardMigTopologyInfeasible"


def test_what_the_plugin_adds_to_a_part_changes_nothing() -> None:
    """A pod that some HAMi placed: its list and its parts are all that is known, with the runtime's ids in them."""
    text = json.dumps(
        [
            {
                **{"containerIndex": 0, "deviceIndex": 0, "gpuUUID": "GPU-x", "profile": "3g.20gb"},
                **{
                    "placement": {"start": 4, "size": 4},
                    "migUUID": "MIG-1",
                    "gpuInstanceID": 2,
                    "computeInstanceID": 0,
                },
            }
        ]
    )
    running = bound("old", "n1", "GPU-x,NVIDIA,20096,43:;")
    running = replace(running, annotations={**running.annotations, ALLOCATIONS: text})
    there = cluster([placing("GPU-x")], [running])
    assert there.ledger.usage("n1").quarantined() == {}
    assert bind(there, NVIDIA, asking("q", gpu=1, mem=20000))[ALLOCATIONS].count('"start":0') == 1
    assert refusal(there, asking("r", gpu=1, mem=100)) == "1/1 CardMigTopologyInfeasible"


def entry(**changes: Any) -> dict[str, Any]:
    whole = {"containerIndex": 0, "deviceIndex": 0, "gpuUUID": "GPU-x", "profile": "1g.5gb"}
    fields = {**whole, "placement": {"start": 0, "size": 1}, **changes}
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([entry(), entry()], "listed twice"),
        ([entry(migUUID="MIG-1")], "only some of migUUID, gpuInstanceID, computeInstanceID"),
        ([entry(placement={"start": 0, "size": 0})], "placement has no size"),
        ([entry(placement=None)], "lacks gpuUUID, profile or placement"),
        ([entry(profile="")], "lacks gpuUUID, profile or placement"),
        ([entry(gpuUUID="GPU-y")], "'GPU-y' is not device (0, 0)"),
        ([entry(deviceIndex=1)], "is not device (0, 1)"),
        ([entry(profile="1g-5gb")], "[plan-position]"),
        ([entry(placement={"start": -1, "size": 1})], "start -1"),
        ({}, "no JSON list"),
        (["GPU-x"], "no JSON object"),
    ],
)
def test_parts_that_can_not_be_read_quarantine_the_family_there(entries: Any, said: str) -> None:
    running = bound("old", "n1", "GPU-x,NVIDIA,4864,14:;")
    running = replace(running, annotations={**running.annotations, ALLOCATIONS: json.dumps(entries)})
    ledger = Ledger([NVIDIA])
    assert said in ledger.observe(running, NOW).problems["NVIDIA"]
    assert said in ledger.usage("n1").quarantined()["NVIDIA"]


@pytest.mark.parametrize(
    "profiles",
    [
        {"name": "1g.5gb"},
        [{"name": "1g.5gb", "memoryMB": 4864, "core": 14, "placements": []}],
        [{"name": "", "memoryMB": 4864, "core": 14, "placements": [{"size": 1}]}],
        [{"name": "1g.5gb", "core": 14, "placements": [{"size": 1}]}],
        [{"name": "1g.5gb", "memoryMB": 1, "placements": [{"size": 1}, {"size": 2}]}],
        [{"name": "1g.5gb", "memoryMB": 1, "placements": [{"size": 0}]}],
        [{"name": "1g.5gb", "memoryMB": 1, "placements": [{"start": 2**30, "size": 1}]}],
        [PROFILES[0], PROFILES[0]],
    ],
)
def test_profiles_that_can_not_be_read_keep_the_last_good_cards(profiles: Any) -> None:
    with pytest.raises(ProtocolError, match="migProfiles"):
        NVIDIA.inventory(placing("GPU-x", profiles=profiles))


# -- what pods say -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uuid", "place"),
    [
        ("GPU-8d[1-3]", ("1", 3)),
        ("GPU-8d[group2-3]", ("group2", 3)),
        ("GPU-8d", None),
    ],
)
def test_a_uuid_tells_card_and_part(uuid: str, place: tuple[str, int] | None) -> None:
    share = Share(uuid, "NVIDIA", 1, 0)
    assert share.card == "GPU-8d"
    assert protocol.split_place("key", 0, share) == place


@pytest.mark.parametrize("uuid", ["GPU-8d[1]", "GPU-8d[1-x]", "GPU-8d[1-2", "GPU-8d[]", "GPU-8d[1-2]x", "GPU-8d[-2]"])
def test_a_uuid_with_broken_brackets_is_an_error(uuid: str) -> None:
    with pytest.raises(ProtocolError, match=r"key: .*plan-position"):
        protocol.decode_shares("key", f"{uuid},NVIDIA,1,0:;")


@pytest.mark.parametrize(
    "text",
    [
        "GPU-x[7-0],NVIDIA,5120,0:;",
        "GPU-x[0-7],NVIDIA,5120,0:;",
        "GPU-x[0-1],NVIDIA,5120,0:GPU-x[0-1],NVIDIA,5120,0:;",
        "GPU-x[0-1],NVIDIA,5120,0:GPU-x[1-0],NVIDIA,10240,0:;",
        "GPU-x,NVIDIA,5120,0:;",
    ],
)
def test_a_card_whose_parts_can_not_be_is_left_alone_and_others_are_not(text: str) -> None:
    """B72: a slot that is out of range, two layouts at once, one slot twice, or a share that names no part."""
    there = cluster([node("n1", [card(), card("GPU-y", index=1)])], [bound("old", "n1", text)])
    spread = asking("p", gpu=1, mem=4000)
    assert bind(there, NVIDIA, spread)[ALLOCATED] == "GPU-y[0-0],NVIDIA,5120,0:;"
    alone = cluster([node("n1", [card()])], [bound("old", "n1", text)])
    assert refusal(alone, spread) == "1/1 CardPartitionsUnknown"


def test_a_card_that_is_not_cut_any_more_is_left_alone_while_its_parts_are_held() -> None:
    there = cluster([node("n1", [card(mode="hami-core")])], [bound("old", "n1", "GPU-x[0-0],NVIDIA,5120,0:;")])
    assert refusal(there, asking("p", gpu=1, mem=4000)) == "1/1 CardPartitionsUnknown"


def test_a_node_of_volcanos_plugin_offers_nothing_here() -> None:
    both = node(
        "n1", [card()], metadata={"annotations": {"volcano.sh/node-vgpu-register": "GPU-x,10,40960,A100,true,mig:"}}
    )
    assert NVIDIA.inventory(both) == ()


# -- beside links ------------------------------------------------------------------------------------------------


def linked_node(*cards: Device) -> Node:
    scores = [{"uuid": a.uuid, "score": {b.uuid: 1210 for b in cards if b is not a}} for a in cards]
    return node("n1", cards, metadata={"annotations": {"hami.io/node-nvidia-score": json.dumps(scores)}})


def test_parts_have_no_links_so_cards_as_they_are_come_first() -> None:
    whole = {"type": A100, "memory_mib": 40960}
    there = cluster([linked_node(card("GPU-m", index=9), device("GPU-a", **whole), device("GPU-b", index=1, **whole))])
    topology = {"hami.io/gpu-scheduler-policy": "topology-aware"}
    written = bind(there, NVIDIA, asking("p", gpu=2, mem=4000, annotations=topology))
    assert written[ALLOCATED] == "GPU-b,NVIDIA,4000,0:GPU-a,NVIDIA,4000,0:;"


def test_where_there_are_parts_alone_topology_takes_them_as_they_come_unless_links_are_required() -> None:
    topology = {"hami.io/gpu-scheduler-policy": "topology-aware"}
    there = cluster([linked_node(card("GPU-m"), card("GPU-o", index=1))])
    assert bind(there, NVIDIA, asking("p", gpu=2, mem=8000, annotations=topology))[ALLOCATED].count("[1-") == 2
    insisting = {**topology, "hami.io/gpu-topology": "require"}
    refused = refusal(there, asking("q", gpu=2, mem=8000, annotations=insisting))
    assert refused == "2/2 TopologyNotFit (no linked cards are free)"


@pytest.mark.parametrize(("policy", "taken"), [("binpack", "GPU-y"), ("spread", "GPU-x")])
@pytest.mark.parametrize(
    "there", [lambda: node("n1", [card(), card("GPU-y", index=1)]), lambda: placing("GPU-x", "GPU-y")]
)
def test_binpack_goes_on_with_a_card_that_is_cut_and_spread_cuts_another(there: Any, policy: str, taken: str) -> None:
    world = cluster([there()])
    policies = {"hami.io/gpu-scheduler-policy": policy}
    first = bind(world, NVIDIA, asking("a", gpu=1, mem=4000, annotations=policies))
    assert first[ALLOCATED].startswith("GPU-y")
    second = bind(world, NVIDIA, asking("b", gpu=1, mem=4000, annotations=policies))
    assert second[ALLOCATED].startswith(taken)


def test_binpack_passes_over_a_card_whose_free_places_are_too_small() -> None:
    world = cluster([placing("GPU-x", "GPU-y")])
    packed = {"hami.io/gpu-scheduler-policy": "binpack"}
    bind(world, NVIDIA, asking("a", gpu=1, mem=4000, annotations=packed))
    whole = bind(world, NVIDIA, asking("b", gpu=1, mem=30000, annotations=packed))
    assert whole[ALLOCATED] == "GPU-x,NVIDIA,40448,100:;"
