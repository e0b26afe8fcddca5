"""MetaX: whole cards and shares, their qualities of service, classes and links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hami_operator.allocators.zones import Spill, grouped, link_score, link_zone
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Allocation, Device, Share
from hami_operator.core.objects import read_node
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import CardState, Grant, Tenant
from tests.builders import NOW, cluster, node, pod
from tests.golden import rows
from tests.vendors.replay import check_fit, check_request, family, score
from tests.webhook.pods import admitted
from tests.webhook.pods import container as webhook_container
from tests.webhook.pods import pod as webhook_pod

SHARES = family("Metax-SGPU")
WHOLE = family("Metax-GPU")

BASE = Device("", 0, 100, 1280, 100, "Metax-SGPU")
CARD = Device("", 0, 16, 65536, 100, "Metax-SGPU")

REGISTER = "metax-tech.com/node-gpu-devices"
#: The list of the vendor's documentation: an idle card, a shared one, and one that is broken.
REGISTERED = (
    '[{"uuid":"GPU-a0","bdf":"0000:0a:00.0","model":"sgpu","totalDevCount":16,"totalCompute":100,"totalVRam":65536,'
    '"healthy":true,"linkZone":1},'
    '{"uuid":"GPU-b0","model":"sgpu","totalDevCount":16,"totalCompute":100,"totalVRam":65536,"availableDevCount":15,'
    '"availableCompute":40,"availableVRam":61440,"numa":1,"healthy":true,"qosPolicy":"fixed-share","linkZone":2},'
    '{"uuid":"GPU-c0","totalDevCount":16,"totalCompute":100,"totalVRam":65536,"numa":-1}]'
)


def zone_of_cards(by_zone: Mapping[Any, Sequence[int]]) -> dict[int, int]:
    """Card -> zone, 0 for none, in order of the card."""
    zones = {card: 0 if zone == "none" else zone for zone, cards in by_zone.items() for card in cards}
    return dict(sorted(zones.items()))


def states(by_zone: Mapping[Any, Sequence[int]]) -> list[CardState]:
    return [
        CardState(replace(CARD, uuid=str(card), index=card, custom={"zone": zone}))
        for card, zone in zone_of_cards(by_zone).items()
    ]


def picked(by_zone: Mapping[Any, Sequence[int]], count: int) -> list[int]:
    chosen = grouped(link_zone, Spill.SMALLEST_FIRST)(states(by_zone), count)
    assert isinstance(chosen, list)
    return [state.device.index for state in chosen]


def link_scored(by_zone: Mapping[Any, Sequence[int]], taken: Sequence[int]) -> int:
    zones = {state.device.index: link_zone(state.device) for state in states(by_zone)}
    return link_score(list(zones.values()), [zones[card] for card in taken])


# -- the worked examples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("metax.yaml", "requests"))
def test_amounts_of_a_share_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(SHARES, row)


@pytest.mark.parametrize("row", rows("metax.yaml", "fits"))
def test_a_share_gets_the_card_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(SHARES, replace(BASE, **row.get("base", {})), row)


@pytest.mark.parametrize("row", rows("metax.yaml", "zones"))
def test_whole_cards_come_from_the_zones_of_the_example(row: dict[str, Any]) -> None:
    assert picked(row["free"], row["ask"]) == row["chosen"]


@pytest.mark.parametrize("row", rows("metax.yaml", "link_scores"))
def test_a_placement_has_the_link_score_of_the_example(row: dict[str, Any]) -> None:
    assert link_scored(row["idle"], row["taken"]) == row["score"]


@pytest.mark.parametrize("row", rows("metax.yaml", "placements"))
def test_each_number_of_cards_is_picked_and_scored_as_the_table_says(row: dict[str, Any]) -> None:
    for count, (cards, value) in enumerate(zip(row["picks"], row["scores"], strict=True), 1):
        assert picked(row["idle"], count) == cards
        assert link_scored(row["idle"], cards) == value


@pytest.mark.parametrize("row", rows("metax.yaml", "published"))
def test_a_node_of_whole_cards_is_scored_by_what_it_publishes(row: dict[str, Any]) -> None:
    texts = {f"metax-tech.com/gpu.topology.{name}": row[name] for name in ("losses", "scores") if name in row}
    cards = [replace(CARD, uuid=f"n1-metax-{index}", index=index) for index in range(8)]
    shares = [Share(card.uuid, "Metax-GPU", 65536, 100) for card in cards[: row["cards"]]]
    on = node("n1", metadata={"annotations": texts})
    assert score(WHOLE, cards, shares, policy=row["policy"], on=on) == row["term"]


# -- the node's cards --------------------------------------------------------------------------------------------


def test_shared_cards_are_read_from_the_vendors_list() -> None:
    cards = SHARES.inventory(node("n1", metadata={"annotations": {REGISTER: REGISTERED}}))
    assert [(card.uuid, card.index, card.healthy, card.numa) for card in cards] == [
        ("GPU-a0", 0, True, 0),
        ("GPU-b0", 1, True, 1),
        ("GPU-c0", 2, False, -1),
    ]
    assert [(card.slots, card.memory_mib, card.cores) for card in cards] == [(16, 65536, 100)] * 3
    assert [card.custom for card in cards] == [
        {"zone": 1, "qos": ""},
        {"zone": 2, "qos": "fixed-share"},
        {"zone": 0, "qos": ""},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "no JSON list"),
        ("[", "no valid JSON"),
        ("[1]", "record 0 is no JSON object"),
        ('[{"totalVRam":1}]', "record 0 has no uuid"),
        ('[{"uuid":"a","totalVRam":"much"}]', "record 0: totalVRam 'much' is not an integer"),
        ('[{"uuid":"a","healthy":"yes"}]', "record 0: healthy 'yes' is neither true nor false"),
        ('[{"uuid":"a,b"}]', "holds one of , : ;"),
        ('[{"uuid":"a"},{"uuid":"a"}]', "card 'a' is listed twice"),
    ],
)
def test_a_list_that_can_not_be_read_names_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ProtocolError, match=REGISTER) as caught:
        SHARES.inventory(node("n1", metadata={"annotations": {REGISTER: text}}))
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "[]"])
def test_a_node_without_a_list_has_no_shared_cards(text: str | None) -> None:
    annotations = {} if text is None else {REGISTER: text}
    assert SHARES.inventory(node("n1", metadata={"annotations": annotations})) == ()


def test_cards_in_native_mode_are_none_to_share() -> None:
    text = '[{"uuid":"GPU-a0","model":"native","totalVRam":65536,"healthy":true}]'
    assert SHARES.inventory(node("n1", metadata={"annotations": {REGISTER: text}})) == ()


def whole_node(capacity: int, allocatable: int, **annotations: str) -> Any:
    amounts = {"capacity": {"metax-tech.com/gpu": capacity}, "allocatable": {"metax-tech.com/gpu": allocatable}}
    keys = {"register": REGISTER, "losses": "metax-tech.com/gpu.topology.losses"}
    texts = {keys[name]: text for name, text in annotations.items()}
    return read_node({"metadata": {"name": "n1", "annotations": texts}, "status": amounts})


def test_whole_cards_are_counted() -> None:
    cards = WHOLE.inventory(whole_node(3, 2))
    assert [(c.uuid, c.index, c.slots, c.memory_mib, c.cores, c.healthy) for c in cards] == [
        ("n1-metax-0", 0, 1, 65536, 100, True),
        ("n1-metax-1", 1, 1, 65536, 100, True),
        ("n1-metax-2", 2, 1, 65536, 100, False),
    ]


def test_whole_cards_know_their_links_where_the_node_tells_all_of_them() -> None:
    zones = '[{"uuid":"a","linkZone":1},{"uuid":"b","linkZone":1},{"uuid":"c"}]'
    assert [link_zone(card) for card in WHOLE.inventory(whole_node(3, 3, register=zones))] == [1, 1, None]
    assert [link_zone(card) for card in WHOLE.inventory(whole_node(2, 2, register=zones))] == [None, None]
    assert [link_zone(card) for card in WHOLE.inventory(whole_node(3, 3, register="["))] == [None, None, None]


# -- scores of nodes ---------------------------------------------------------------------------------------------

EIGHT = [replace(CARD, uuid=f"c{i}", index=i, custom={"zone": 1 + i // 4}) for i in range(8)]


def taken(*cores: int) -> list[Share]:
    return [Share(f"c{index}", "Metax-SGPU", 65536, value) for index, value in enumerate(cores)]


def test_mx_60_links_count_for_whole_cards_alone() -> None:
    aware = pod(annotations={"metax-tech.com/sgpu-topology-aware": "true"})
    assert score(SHARES, EIGHT, taken(100, 100, 100, 100), one=aware) == 6_000_000
    assert score(SHARES, EIGHT, taken(99, 99), one=aware) == 0
    assert score(SHARES, EIGHT, taken(99, 100), one=aware) == -300_000


@pytest.mark.parametrize(
    ("default", "word", "counts"),
    [
        (True, None, True),
        (True, "false", False),
        (True, "F", False),
        (True, "perhaps", True),
        (False, None, False),
        (False, "true", True),
        (False, "1", True),
        (False, "perhaps", False),
    ],
)
def test_the_pod_may_overrule_whether_links_count(default: bool, word: str | None, counts: bool) -> None:
    profile = family("Metax-SGPU", metax={"sgpuTopologyAware": default})
    annotations = {} if word is None else {"metax-tech.com/sgpu-topology-aware": word}
    assert bool(score(profile, EIGHT, taken(100), one=pod(annotations=annotations))) == counts


def test_a_broken_card_is_no_loss() -> None:
    broken = [replace(card, healthy=card.index == 0) for card in EIGHT]
    assert score(SHARES, broken, taken(100)) == 0


def test_a_card_in_use_is_no_loss() -> None:
    assert score(SHARES, EIGHT, taken(100), used=["c1", "c2", "c3"]) == 0


@pytest.mark.parametrize(
    ("online", "offline", "term"), [(2, 0, -400_000), (0, 2, -2_000_000), (2, 2, -440_000), (0, 0, 0)]
)
def test_an_online_pod_is_scored_by_its_company(online: int, offline: int, term: int) -> None:
    share = Share("c0", "Metax-SGPU", 1, 0)
    tenants = {"c0": (Tenant(share, ("", "online")),) * online + (Tenant(share, ("", "offline")),) * offline}
    one = pod(annotations={"metax-tech.com/sgpu-app-class": "online"})
    assert score(SHARES, EIGHT, [share], tenants=tenants, one=one) == term


def shared_node(name: str, zones: Sequence[int], **labels: str) -> Any:
    cards = [
        f'{{"uuid":"{name}-{i}","totalDevCount":16,"totalCompute":100,"totalVRam":65536,"healthy":true,"linkZone":{zone}}}'
        for i, zone in enumerate(zones)
    ]
    return node(name, metadata={"annotations": {REGISTER: f"[{','.join(cards)}]"}, "labels": labels})


def asking(count: int, name: str = "p", **annotations: str) -> Any:
    keys = {"policy": "hami.io/node-scheduler-policy"}
    texts = {keys[word]: value for word, value in annotations.items()}
    limits = {"metax-tech.com/sgpu": str(count)}
    return pod(name, {"name": "main", "resources": {"limits": limits}}, annotations=texts)


def crowded(nodes: Mapping[str, Sequence[int]], busy: Mapping[str, int], **section: Any) -> Any:
    """Nodes by the zones of their cards, each with some last cards taken whole."""
    profile = family("Metax-SGPU", metax=section)
    world = cluster([shared_node(name, zones) for name, zones in nodes.items()], profiles=[profile])
    for name, count in busy.items():
        cards = [f"{name}-{len(nodes[name]) - 1 - i}" for i in range(count)]
        held = Allocation({"Metax-SGPU": (tuple(Share(card, "Metax-SGPU", 65536, 100) for card in cards),)})
        world.ledger.assume(asking(count, f"busy-{name}"), name, held)
    return world


@pytest.mark.parametrize(("policy", "chosen"), [("binpack", "c"), ("spread", "a")])
def test_mx_70_the_best_links_win_under_both_policies(policy: str, chosen: str) -> None:
    """Two idle zones, two broken ones, one zone left: a and c are worth as much, the policy decides between those."""
    nodes = {"a": [1] * 4 + [2] * 4, "b": [1, 1, 1, 2, 2, 2, 3, 3], "c": [1] * 4 + [2] * 4}
    decision = schedule(asking(4, policy=policy), crowded(nodes, {"b": 2, "c": 4}), NOW)
    assert isinstance(decision, Placement)
    assert decision.node == chosen


@pytest.mark.parametrize("policy", ["binpack", "spread"])
def test_mx_71_a_single_card_leaves_zones_whole(policy: str) -> None:
    world = crowded({"x": [1, 2, 2], "y": [1] * 4 + [2] * 4}, {"x": 2})
    decision = schedule(asking(1, policy=policy), world, NOW)
    assert isinstance(decision, Placement)
    assert decision.node == "x"


def test_good_links_count_against_a_node_where_the_release_note_is_read_to_the_letter() -> None:
    nodes = {"a": [1] * 4 + [2] * 4, "b": [1, 2, 3, 4, 5, 6, 7, 8]}
    for section, chosen in (({}, "a"), ({"spreadTopologyPenalty": True}, "b")):
        decision = schedule(asking(4, policy="spread"), crowded(nodes, {}, **section), NOW)
        assert isinstance(decision, Placement)
        assert decision.node == chosen


# -- several containers and pods ---------------------------------------------------------------------------------


def test_two_containers_of_a_pod_get_a_whole_card_each() -> None:
    """HAMi wants them on one card, which none allows (B34)."""
    limits = {"metax-tech.com/gpu": "1"}
    two = pod("p", *({"name": name, "resources": {"limits": limits}} for name in "ab"))
    decision = schedule(two, cluster([whole_node(2, 2)], profiles=[WHOLE]), NOW)
    assert isinstance(decision, Placement)
    assert [share.uuid for _, _, share in decision.allocation.shares()] == ["n1-metax-1", "n1-metax-0"]


def test_a_quality_of_service_ends_with_the_last_pod_of_it() -> None:
    world = cluster([shared_node("n1", [0])], profiles=[SHARES])

    def share(name: str, quality: str) -> Any:
        limits = {"metax-tech.com/sgpu": "1", "metax-tech.com/vmemory": "4", "metax-tech.com/vcore": "10"}
        annotations = {"metax-tech.com/sgpu-qos-policy": quality}
        return pod(name, {"name": "main", "resources": {"limits": limits}}, annotations=annotations)

    first, other = share("first", "fixed-share"), share("other", "burst-share")
    decision = schedule(first, world, NOW)
    assert isinstance(decision, Placement)
    world.ledger.assume(first, "n1", decision.allocation)
    assert not isinstance(schedule(other, world, NOW), Placement)
    assert isinstance(schedule(share("same", "fixed-share"), world, NOW), Placement)
    world.ledger.forget("default/first")
    assert isinstance(schedule(other, world, NOW), Placement)


def test_containers_of_one_pod_share_a_card() -> None:
    limits = {"metax-tech.com/sgpu": "1", "metax-tech.com/vmemory": "4", "metax-tech.com/vcore": "10"}
    annotations = {"metax-tech.com/sgpu-qos-policy": "burst-share"}
    two = pod("p", *({"name": n, "resources": {"limits": limits}} for n in "ab"), annotations=annotations)
    decision = schedule(two, cluster([shared_node("n1", [0])], profiles=[SHARES]), NOW)
    assert isinstance(decision, Placement)


# -- what is written ---------------------------------------------------------------------------------------------


def test_the_plugins_list_has_one_list_per_container_and_no_zeros() -> None:
    given = [
        (),
        (Share("GPU-a0", "Metax-SGPU", 4096, 60), Share("GPU-a1", "Metax-SGPU", 4096, 60)),
        (Share("GPU-a2", "Metax-SGPU", 1024, 0),),
    ]
    written = SHARES.hooks.annotate(Grant(SHARES, pod(), node(), {}, given, NOW))
    lists = "hami.io/metax-sgpu-devices"
    text = ";GPU-a0,Metax-SGPU,4096,60:GPU-a1,Metax-SGPU,4096,60:;GPU-a2,Metax-SGPU,1024,0:;"
    assert written == {
        f"{lists}-to-allocate": text,
        f"{lists}-allocated": text,
        "metax-tech.com/gpu-devices-allocated": '[[],[{"uuid":"GPU-a0","compute":60,"vRam":4096},'
        '{"uuid":"GPU-a1","compute":60,"vRam":4096}],[{"uuid":"GPU-a2","vRam":1024}]]',
        "metax-tech.com/predicate-time": "1760000000000000000",
    }
    assert all(SHARES.writes(key) for key in written)


# -- admission ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, {"metax-tech.com/sgpu-qos-policy": "best-effort"}),
        ({"other": "x"}, {"other": "x", "metax-tech.com/sgpu-qos-policy": "best-effort"}),
        ({"metax-tech.com/sgpu-qos-policy": "burst-share"}, {"metax-tech.com/sgpu-qos-policy": "burst-share"}),
        ({"metax-tech.com/sgpu-app-class": "online"}, {"metax-tech.com/sgpu-app-class": "online"}),
    ],
)
def test_mx_90_to_93_a_pod_gets_the_first_quality_where_it_names_none(
    before: dict[str, str] | None, after: dict[str, str]
) -> None:
    limits = {"metax-tech.com/sgpu": "1"}
    metadata = {} if before is None else {"annotations": before}
    changed, _ = admitted(webhook_pod(webhook_container(limits=limits), metadata=metadata), profiles=(SHARES,))
    assert changed["metadata"]["annotations"] == after


def test_the_plugins_annotations_are_not_for_users_to_bring() -> None:
    brought = {"metax-tech.com/gpu-devices-allocated": "[[]]", "metax-tech.com/predicate-time": "1", "mine": "x"}
    obj = webhook_pod(webhook_container(limits={"metax-tech.com/gpu": "1"}), metadata={"annotations": brought})
    changed, warnings = admitted(obj, profiles=(WHOLE, SHARES))
    assert changed["metadata"]["annotations"] == {"mine": "x"}
    assert len(warnings) == 2
