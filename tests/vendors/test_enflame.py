"""Enflame: whole cards, percentages in slices, hard partitions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hami_operator.allocators.sizes import Partition
from hami_operator.core.binding import binding_annotations
from hami_operator.core.cluster import Cluster
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Device, Share
from hami_operator.core.objects import read_node
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import Profile
from hami_operator.vendors.enflame import slices_of
from hami_operator.vendors.enflame_drs import slices_in
from tests.builders import NOW, cluster, node, pod
from tests.golden import rows
from tests.vendors.replay import admit, check_fit, check_request, family

WHOLE = family("GCU")
SHARES = family("Enflame")
PARTITIONS = family("Enflame-DRS")

CARD = Device("", 0, 1, 100, 100, "GCU")
SHARED = Device("", 0, 100, 100, 100, "Enflame", custom={"slices": 6, "working": 6})
CUT = Device(
    "",
    0,
    6,
    40960,
    100,
    "Enflame",
    custom={
        "minor": 0,
        "partitions": (
            Partition(1, 6, "1g.6gb", "0"),
            Partition(3, 20, "3g.20gb", "1"),
            Partition(6, 40, "6g.40gb", "2"),
        ),
    },
)

MINORS = "enflame.com/gcu-shared-capacity"
DRS = "enflame.com/gcu-drs-capacity"
REGISTERED = (
    '{"devices":[{"index":"0","minor":"0","capacity":6}],"profiles":{"1g.6gb":"0","3g.20gb":"1","6g.40gb":"2"}}'
)


def of(slices: int) -> Profile:
    return family("Enflame", enflame={"slicesPerCard": slices})


# -- the worked examples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("enflame.yaml", "percentages"))
def test_percentages_are_rounded_up_to_slices_or_refused(row: dict[str, Any]) -> None:
    check_request(of(row.get("slices", 6)), row)


@pytest.mark.parametrize("row", rows("enflame.yaml", "shares"))
def test_a_share_gets_the_card_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(SHARES, SHARED, row)


@pytest.mark.parametrize("row", rows("enflame.yaml", "whole"))
def test_whole_cards_are_idle_ones(row: dict[str, Any]) -> None:
    check_fit(WHOLE, CARD, row)


@pytest.mark.parametrize("row", rows("enflame.yaml", "partition_requests"))
def test_partitions_are_asked_by_size_or_by_what_they_have(row: dict[str, Any]) -> None:
    check_request(PARTITIONS, row)


@pytest.mark.parametrize("row", rows("enflame.yaml", "partitions"))
def test_a_partition_is_the_smallest_that_is_what_was_asked(row: dict[str, Any]) -> None:
    check_fit(PARTITIONS, CUT, row)


@pytest.mark.parametrize("per_card", range(1, 100))
def test_what_admission_rounds_up_is_the_least_that_holds_it_and_stays(per_card: int) -> None:
    """HAMi counts in binary fractions and misses 100 % of 97 slices."""
    steps = [100 * count // per_card for count in range(1, per_card + 1)]
    for percent in range(1, 101):
        written = admit(of(per_card), {"enflame.com/vgcu": 1, "enflame.com/vgcu-percentage": percent}, {}).resources
        granted, slices = written["enflame.com/vgcu-percentage"], written["enflame.com/shared-gcu"]
        assert slices == next(count for count in range(1, per_card + 1) if 100 * count >= percent * per_card)
        assert granted == steps[slices - 1]
        assert slices_of(granted, per_card) == slices


# -- the node's cards --------------------------------------------------------------------------------------------


def sharing_node(name: str = "n6", cards: int = 2, slices: int = 12, minors: str | None = None) -> Any:
    amounts = {"enflame.com/gcu-count": str(cards), "enflame.com/shared-gcu": str(slices)}
    annotations = {} if minors is None else {MINORS: minors}
    status = {"capacity": amounts, "allocatable": amounts}
    return read_node({"metadata": {"name": name, "annotations": annotations}, "status": status})


def test_shared_cards_are_counted_where_the_plugin_names_none() -> None:
    cards = SHARES.inventory(sharing_node("test", 1, 6))
    assert [(c.uuid, c.slots, c.memory_mib, c.cores, c.custom) for c in cards] == [
        ("test-enflame-0", 100, 100, 100, {"slices": 6, "working": 6})
    ]
    assert SHARES.inventory(node("n1")) == ()
    assert SHARES.inventory(sharing_node(cards=2, slices=0)) == ()


def test_shared_cards_have_the_minors_that_the_plugin_publishes() -> None:
    """HAMi numbers the cards that are left, so behind a card that is missing every number is wrong."""
    cards = SHARES.inventory(sharing_node(cards=3, slices=18, minors='{"0":6,"3":"4","1":0}'))
    assert [(c.uuid, c.index, c.healthy, c.custom["working"]) for c in cards] == [
        ("n6-enflame-0", 0, True, 6),
        ("n6-enflame-1", 1, False, 0),
        ("n6-enflame-3", 3, True, 4),
    ]
    assert {card.custom["slices"] for card in cards} == {6}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[", "no valid JSON"), ("[6]", "no JSON object"), ('{"x":6}', "minor 'x'"), ('{"0":"six"}', "slices of 0 'six'")],
)
def test_minors_that_can_not_be_read_name_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ProtocolError, match=MINORS) as caught:
        SHARES.inventory(sharing_node(minors=text))
    assert problem in str(caught.value)


def test_more_cards_than_any_node_has_are_a_mistake() -> None:
    with pytest.raises(ProtocolError, match="9000 cards, allowed are 1024"):
        SHARES.inventory(sharing_node(cards=9000, slices=9000))


def test_whole_cards_are_counted() -> None:
    amounts = {"capacity": {"enflame.com/gcu": "2"}, "allocatable": {"enflame.com/gcu": "2"}}
    cards = WHOLE.inventory(read_node({"metadata": {"name": "testnode"}, "status": amounts}))
    assert [(c.uuid, c.slots, c.memory_mib, c.cores) for c in cards] == [
        ("testnode-GCU-0", 1, 100, 100),
        ("testnode-GCU-1", 1, 100, 100),
    ]


def cut_node(name: str = "node-a", text: str = REGISTERED) -> Any:
    return node(name, metadata={"annotations": {DRS: text}})


def test_cards_that_are_cut_hard_come_with_their_partitions() -> None:
    (card,) = PARTITIONS.inventory(cut_node())
    assert (card.uuid, card.index, card.slots, card.memory_mib, card.cores) == (
        "node-a-enflame-drs-0",
        0,
        6,
        40960,
        100,
    )
    assert card.custom["minor"] == 0
    assert card.custom["partitions"] == CUT.custom["partitions"]


def test_a_cut_card_without_a_minor_has_its_index() -> None:
    text = REGISTERED.replace('"index":"0","minor":"0"', '"index":"3"')
    (card,) = PARTITIONS.inventory(cut_node(text=text))
    assert (card.index, card.custom["minor"]) == (3, 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no valid JSON"),
        ("[]", "no JSON object of devices and profiles"),
        ('{"devices":[]}', "profiles is no JSON object"),
        ('{"devices":[],"profiles":{"3g20gb":"1"}}', "profile '3g20gb': '1' is no partition"),
        ('{"devices":[],"profiles":{"3g.20gb":1}}', "profile '3g.20gb': 1 is no partition"),
        ('{"devices":[],"profiles":{"51g.20gb":"1"}}', "profile '51g.20gb': '1' is no partition"),
        ('{"devices":{},"profiles":{"3g.20gb":"1"}}', ""),
        ('{"devices":[{"index":"x"}],"profiles":{"3g.20gb":"1"}}', "record 0: index 'x'"),
        ('{"devices":[{"index":"0"},{"index":"0"}],"profiles":{"3g.20gb":"1"}}', "is listed twice"),
    ],
)
def test_partitions_that_can_not_be_read_name_what_is_wrong(text: str, problem: str) -> None:
    if not problem:
        assert PARTITIONS.inventory(cut_node(text=text)) == ()
        return
    with pytest.raises(ProtocolError, match=DRS) as caught:
        PARTITIONS.inventory(cut_node(text=text))
    assert problem in str(caught.value)


# -- pods --------------------------------------------------------------------------------------------------------


def admitted(profile: Profile, name: str, *containers: dict[str, int], **spec: Any) -> Any:
    """A pod whose containers have passed admission."""
    made = []
    for number, limits in enumerate(containers):
        texts = {key: str(value) for key, value in {**limits, **admit(profile, limits, {}).resources}.items()}
        made.append({"name": f"c{number}", "resources": {"limits": texts}})
    return pod(name, *made, **spec)


def percent(*values: int) -> list[dict[str, int]]:
    return [{"enflame.com/vgcu": 1, "enflame.com/vgcu-percentage": value} for value in values]


def written(world: Cluster, profile: Profile, one: Any) -> dict[str, str]:
    """What the Binding of a pod carries beside the common keys."""
    decision = schedule(one, world, NOW)
    assert isinstance(decision, Placement), decision
    world.ledger.assume(one, decision.node, decision.allocation)
    entry = world.inventory.get(decision.node)
    assert entry is not None
    texts = binding_annotations(one, entry, decision.allocation, [profile], NOW)
    assert all(profile.writes(key) for key in texts if not key.startswith(("hami.io/vgpu", "hami.io/bind", "hami-op")))
    return texts


def test_ex_26_a_share_in_slices_of_the_nodes_cards() -> None:
    four = of(4)
    texts = written(cluster([sharing_node(slices=8)], profiles=[four]), four, admitted(four, "p", *percent(30)))
    assert texts["hami.io/enflame-vgpu-devices-allocated"] == "n6-enflame-1,Enflame,50,0:;"
    assert {key: value for key, value in texts.items() if key.startswith("enflame.com/")} == {
        "enflame.com/gcu-assigned": "false",
        "enflame.com/gcu-assigned-time": "1760000000000000000",
        "enflame.com/gcu-assigned-id": "1",
        "enflame.com/gcu-assigned-minor": "1",
        "enflame.com/gcu-assigned-index": "1",
        "enflame.com/gcu-request-size": "2",
    }


def test_the_plugin_is_told_the_minor_and_not_the_place_in_the_list() -> None:
    world = cluster([sharing_node(cards=2, slices=12, minors='{"0":6,"3":6}')], profiles=[SHARES])
    texts = written(world, SHARES, admitted(SHARES, "p", *percent(22)))
    assert texts["enflame.com/gcu-assigned-minor"] == texts["enflame.com/gcu-assigned-id"] == "3"


def test_all_containers_of_a_pod_are_on_one_card() -> None:
    """The plugin knows one list of cards per pod."""
    world = cluster([sharing_node()], profiles=[SHARES])
    assert written(world, SHARES, admitted(SHARES, "other", *percent(50)))["enflame.com/gcu-assigned-id"] == "1"
    texts = written(world, SHARES, admitted(SHARES, "p", *percent(33, 16, 50)))
    assert texts["hami.io/enflame-vgpu-devices-allocated"] == (
        "n6-enflame-0,Enflame,33,0:;n6-enflame-0,Enflame,16,0:;n6-enflame-0,Enflame,50,0:;"
    )
    assert texts["enflame.com/gcu-assigned-id"] == "0"
    assert texts["enflame.com/gcu-request-size"] == "6"


def test_the_first_container_goes_where_the_others_fit_too() -> None:
    world = cluster([sharing_node()], profiles=[SHARES])
    written(world, SHARES, admitted(SHARES, "a", *percent(50)))  # on card 1
    written(world, SHARES, admitted(SHARES, "b", *percent(33)))  # on card 0, the emptier one
    texts = written(world, SHARES, admitted(SHARES, "p", *percent(33, 33)))
    assert texts["enflame.com/gcu-assigned-id"] == "0"


def test_a_container_without_a_card_may_come_first() -> None:
    """HAMi looks at the first container alone, and then writes no card at all."""
    share = admitted(SHARES, "p", *percent(33)).containers[0]
    containers = [{"name": "plain"}, {"name": "main", "resources": {"limits": dict(share.limits)}}]
    texts = written(cluster([sharing_node()], profiles=[SHARES]), SHARES, pod("p", *containers))
    assert texts["hami.io/enflame-vgpu-devices-allocated"] == ";n6-enflame-1,Enflame,33,0:;"
    assert texts["enflame.com/gcu-assigned-id"] == "1"


def test_many_small_slices_are_not_given_beyond_their_number() -> None:
    """Percent of 24 slices are rounded down to 4, and 25 of those would make a hundred."""
    tiny = of(24)
    world = cluster([sharing_node(cards=1, slices=24)], profiles=[tiny])
    fitting = 0
    for number in range(25):
        one = admitted(tiny, f"p{number}", *percent(4))
        decision = schedule(one, world, NOW)
        if isinstance(decision, Placement):
            world.ledger.assume(one, decision.node, decision.allocation)
            fitting += 1
    assert fitting == 24


def test_a_partition_is_told_to_the_plugin_by_container() -> None:
    text = REGISTERED.replace('"minor":"0"', '"minor":"4"').replace('"index":"0"', '"index":"2"')
    world = cluster([cut_node(text=text)], profiles=[PARTITIONS])
    one = admitted(PARTITIONS, "p", {"enflame.com/drs-gcu": 3}, {"enflame.com/gcu-memory": 6})
    texts = written(world, PARTITIONS, one)
    assert texts["hami.io/enflame-vgpu-devices-allocated"] == (
        "node-a-enflame-drs-2,Enflame,20480,50:;node-a-enflame-drs-2,Enflame,6144,16:;"
    )
    assert json.loads(texts["assigned-containers"]) == {
        "c0": {"allocated": False, "request": 3, "profileID": "1", "profileName": "3g.20gb"},
        "c1": {"allocated": False, "request": 1, "profileID": "0", "profileName": "1g.6gb"},
    }
    assert texts["enflame.com/gcu-assigned-index"] == texts["enflame.com/gcu-assigned-id"] == "2"
    assert texts["enflame.com/gcu-assigned-minor"] == "4"
    assert texts["enflame.com/gcu-request-size"] == "4"
    assert texts["enflame.com/gcu-assigned"] == "false"


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ({"1g.10gb": "0", "3g.30gb": "1"}, "node-a-enflame-drs-0,Enflame,30720,100:;"),
        ({"1g.6gb": "0", "2g.20gb": "1", "6g.40gb": "2"}, None),
    ],
)
def test_nodes_on_which_what_was_asked_is_another_partition_are_not_taken(
    sizes: dict[str, str], taken: str | None
) -> None:
    """Admission knows no nodes, and the plugin is called for the slices that admission wrote."""
    text = json.dumps({"devices": [{"index": "0", "minor": "0", "capacity": 6}], "profiles": sizes})
    world = cluster([cut_node(text=text)], profiles=[PARTITIONS])
    one = admitted(PARTITIONS, "p", {"enflame.com/gcu-memory": 20})
    assert one.containers[0].limits["enflame.com/drs-gcu"] == "3"
    if taken is None:
        decision = schedule(one, world, NOW)
        assert not isinstance(decision, Placement)
        assert "ModeNotFit" in decision.message
    else:
        assert written(world, PARTITIONS, one)["hami.io/enflame-vgpu-devices-allocated"] == taken


def test_partitions_are_those_of_the_settings() -> None:
    """As HAMi's documentation has them, unless somebody says otherwise."""
    other = family("Enflame-DRS", enflame={"partitions": ["1g.12gb", "2g.24gb"]})
    assert admit(other, {"enflame.com/gcu-memory": 20}, {}).resources == {"enflame.com/drs-gcu": 2}


def test_partitions_of_a_pod_are_on_one_card() -> None:
    text = REGISTERED.replace("}],", '},{"index":"1","minor":"1","capacity":6}],')
    world = cluster([cut_node(text=text)], profiles=[PARTITIONS])
    written(world, PARTITIONS, admitted(PARTITIONS, "a", {"enflame.com/drs-gcu": 1}))  # on card 1
    texts = written(
        world, PARTITIONS, admitted(PARTITIONS, "p", {"enflame.com/drs-gcu": 3}, {"enflame.com/drs-gcu": 3})
    )
    assert texts["enflame.com/gcu-assigned-id"] == "0"


def test_a_node_is_of_one_family() -> None:
    assert SHARES.inventory(cut_node()) == ()
    assert PARTITIONS.inventory(sharing_node()) == ()


@pytest.mark.parametrize("most", range(1, 51))
def test_the_percentage_of_a_share_tells_its_slices(most: int) -> None:
    """As it is written here, rounded down, and as HAMi writes it, rounded up."""
    partitions = {f"{slices}g.1gb": str(slices) for slices in range(1, most + 1)}
    text = json.dumps({"devices": [{"index": 0, "minor": 0, "capacity": most}], "profiles": partitions})
    (card,) = PARTITIONS.inventory(cut_node(text=text))
    for slices in range(1, most + 1):
        for percent in (100 * slices // most, -(-100 * slices // most)):
            assert slices_in(Share(card.uuid, "Enflame", 1024, percent), card) == slices
