"""Kunlunxin: whole cards and slices by wings, the size of slices, and the handles of the driver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hami_operator.core.binding import binding_annotations
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Device, DeviceRequest, Share
from hami_operator.core.objects import read_node
from hami_operator.core.protocol import decode_shares, encode_shares
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW, cluster, node, pod
from tests.golden import rows
from tests.vendors.replay import check_fit, check_request, family, score

WHOLE = family("kunlun")
SLICES = family("XPU")

CARD = Device("", 0, 100, 98304, 100, "kunlun")
SLICED = Device("", 0, 4, 98304, 100, "XPU")


@pytest.mark.parametrize("row", rows("kunlun.yaml", "slices"))
def test_amounts_of_slices_are_rounded_up_or_refused(row: dict[str, Any]) -> None:
    check_request(SLICES, row)


@pytest.mark.parametrize("row", rows("kunlun.yaml", "cards"))
def test_whole_cards_are_asked_by_numbers_that_are_linked(row: dict[str, Any]) -> None:
    check_request(WHOLE, row)


@pytest.mark.parametrize("row", rows("kunlun.yaml", "boards"))
def test_whole_cards_are_taken_by_wings(row: dict[str, Any]) -> None:
    held = {"tenants": [[98304, 100]]}
    check_fit(WHOLE, CARD, {**row, "cards": 8, "held": held, "limits": {"kunlunxin.com/xpu": row["ask"]}})


@pytest.mark.parametrize("row", rows("kunlun.yaml", "slice_boards"))
def test_slices_are_taken_by_wings_sizes_and_handles(row: dict[str, Any]) -> None:
    count, memory = row["ask"]
    limits = {"kunlunxin.com/vxpu": count, **({"kunlunxin.com/vxpu-memory": memory} if memory else {})}
    cards: list[dict[str, Any]] = []
    for index in range(row.get("cards", 8)):
        slices, size = row["held"].get(index, (0, 0))
        cards.append({"tenants": [[size, size * 100 // 98304]] * slices, "healthy": index not in row.get("broken", ())})
    check_fit(SLICES, SLICED, {**row, "cards": cards, "limits": limits})


@pytest.mark.parametrize("row", rows("kunlun.yaml", "board_scores"))
def test_a_board_is_scored_by_how_little_it_is_broken_up(row: dict[str, Any]) -> None:
    cards = [replace(CARD, uuid=f"d-{index}", index=index) for index in range(8)]
    taken = [Share(f"d-{index}", "kunlun", 98304, 100) for index in row["taken"]]
    for policy in ("binpack", "spread"):
        assert score(WHOLE, cards, taken, used=[f"d-{i}" for i in row["before"]], policy=policy) == row["term"]


# -- the node's cards --------------------------------------------------------------------------------------------


def board(name: str = "n5", capacity: int = 8, allocatable: int = 8) -> Any:
    amounts = {"capacity": {"kunlunxin.com/xpu": capacity}, "allocatable": {"kunlunxin.com/xpu": allocatable}}
    return read_node({"metadata": {"name": name}, "status": amounts})


def test_whole_cards_are_counted_and_none_is_known_to_be_broken() -> None:
    cards = WHOLE.inventory(board(capacity=8, allocatable=7))
    assert [card.uuid for card in cards] == [f"n5-kunlun-{index}" for index in range(8)]
    assert [card.numa for card in cards] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert all(card.healthy for card in cards)


def test_a_broken_card_counts_where_the_kubelet_counts() -> None:
    world = cluster([board(allocatable=7)], profiles=[WHOLE])
    decision = schedule(whole(8), world, NOW)
    assert not isinstance(decision, Placement)
    assert "kunlunxin.com/xpu: asked 8, free 7 of 7" in decision.message


def test_sliced_cards_register_themselves_and_a_card_without_health_is_broken() -> None:
    text = (
        '[{"id":"0000:53:00.0","count":4,"devmem":98304,"devcore":100,"type":"XPU","health":true},'
        '{"id":"0000:a1:00.0","index":4,"count":4,"devmem":98304,"devcore":100,"type":"XPU","numa":1}]'
    )
    cards = SLICES.inventory(node("n1", metadata={"annotations": {"hami.io/node-register-xpu": text}}))
    assert [(card.uuid, card.index, card.healthy) for card in cards] == [
        ("0000:53:00.0", 0, True),
        ("0000:a1:00.0", 4, False),
    ]


def test_pci_addresses_are_ids_although_colons_end_records() -> None:
    text = "0000:53:00.0,XPU,24576,25:0000:a1:00.0,XPU,24576,25:;XPU-0,XPU,49152,50:;"
    shares = decode_shares("key", text)
    assert [[share.uuid for share in position] for position in shares] == [["0000:53:00.0", "0000:a1:00.0"], ["XPU-0"]]
    assert encode_shares(shares) == text
    with pytest.raises(ProtocolError):
        decode_shares("key", "0000:53:XPU-0,XPU,24576,25:;")


def whole(*counts: int) -> Any:
    containers = (
        {"name": f"c{i}", "resources": {"limits": {"kunlunxin.com/xpu": str(n)}}} for i, n in enumerate(counts)
    )
    return pod("p", *containers)


def test_ex_25_the_plugin_is_told_the_indexes_of_all_containers() -> None:
    world = cluster([board()], profiles=[WHOLE])
    one = whole(2, 1)
    decision = schedule(one, world, NOW)
    assert isinstance(decision, Placement)
    entry = world.inventory.get("n5")
    assert entry is not None
    written = binding_annotations(one, entry, decision.allocation, [WHOLE], NOW)
    assert written["hami.io/kunlun-allocated"] == (
        "n5-kunlun-0,kunlun,98304,100:n5-kunlun-1,kunlun,98304,100:;n5-kunlun-2,kunlun,98304,100:;"
    )
    assert written["BAIDU_COM_DEVICE_IDX"] == "0,1,2"


def test_the_least_broken_board_wins_under_both_policies() -> None:
    """HAMi adds the term whatever the policy, so under spread the worst board won (B13)."""
    for policy in ("binpack", "spread"):
        world = cluster([board("a"), board("b")], profiles=[WHOLE])
        first = schedule(whole(1), world, NOW)
        assert isinstance(first, Placement)
        world.ledger.assume(whole(1), "b", first.allocation)
        one = pod(
            "q",
            {"name": "main", "resources": {"limits": {"kunlunxin.com/xpu": "1"}}},
            annotations={"hami.io/node-scheduler-policy": policy},
        )
        decision = schedule(one, world, NOW)
        assert isinstance(decision, Placement)
        assert decision.node == "a"


# -- slices on cards that register -------------------------------------------------------------------------------


def sliced_node(cards: int = 8) -> Any:
    records = (
        f'{{"id":"XPU-{i}","index":{i},"count":4,"devmem":98304,"devcore":100,"type":"XPU","health":true}}'
        for i in range(cards)
    )
    return node("n1", metadata={"annotations": {"hami.io/node-register-xpu": f"[{','.join(records)}]"}})


def slices(name: str, *asked: tuple[int, int], init: tuple[int, int] | None = None) -> Any:
    def container(number: int, count: int, memory: int) -> dict[str, Any]:
        limits = {"kunlunxin.com/vxpu": str(count), "kunlunxin.com/vxpu-memory": str(memory)}
        return {"name": f"c{number}", "resources": {"limits": limits}}

    first = [container(9, *init)] if init else []
    return pod(name, *(container(i, *each) for i, each in enumerate(asked)), initContainers=first)


def place(world: Any, one: Any) -> list[str] | None:
    decision = schedule(one, world, NOW)
    if not isinstance(decision, Placement):
        return None
    world.ledger.assume(one, decision.node, decision.allocation)
    return [share.uuid for _, _, share in decision.allocation.shares()]


def test_ex_17_four_quarters_fill_a_card_and_the_fifth_goes_elsewhere() -> None:
    world = cluster([sliced_node()], profiles=[SLICES])
    cards = [place(world, slices(f"p{number}", (1, 24576))) for number in range(5)]
    assert cards == [["XPU-0"]] * 4 + [["XPU-1"]]


def test_slices_of_one_request_are_on_cards_of_their_own() -> None:
    world = cluster([sliced_node()], profiles=[SLICES])
    assert place(world, slices("p", (4, 24576))) == ["XPU-0", "XPU-1", "XPU-2", "XPU-3"]


def test_a_card_may_be_cut_anew_once_it_is_empty() -> None:
    world = cluster([sliced_node(1)], profiles=[SLICES])
    assert place(world, slices("quarter", (1, 24576))) == ["XPU-0"]
    assert place(world, slices("half", (1, 49152))) is None
    world.ledger.forget("default/quarter")
    assert place(world, slices("half", (1, 49152))) == ["XPU-0"]


def test_handles_are_never_passed_by_pods_one_after_the_other() -> None:
    world = cluster([sliced_node()], profiles=[SLICES])
    placed = [place(world, slices(f"p{number}", (1, 24576))) for number in range(40)]
    cut = {card for cards in placed if cards for card in cards}
    assert len(cut) == 6
    assert sum(cards is not None for cards in placed) == 24


def test_handles_of_an_init_container_are_free_again_for_the_apps() -> None:
    world = cluster([sliced_node()], profiles=[SLICES])
    assert place(world, slices("five", (5, 24576))) is not None
    assert place(world, slices("p", (3, 49152), init=(1, 49152))) is None
    assert place(world, slices("q", (2, 49152), init=(1, 49152))) == ["XPU-5", "XPU-5", "XPU-6"]
    assert place(world, slices("r", (1, 49152))) == ["XPU-5"]


def test_kl_3_amounts_among_requests_alone_count_too() -> None:
    asked = {"kunlunxin.com/vxpu": "2", "kunlunxin.com/vxpu-memory": "24576"}
    (only,) = pod("p", {"name": "main", "resources": {"requests": asked}}).containers
    assert SLICES.request(only) == DeviceRequest(2, 24576)


def test_a_slice_has_the_compute_of_its_memory() -> None:
    world = cluster([sliced_node()], profiles=[SLICES])
    for memory, cores in ((24576, 25), (49152, 50), (98304, 100)):
        decision = schedule(slices("p", (1, memory)), world, NOW)
        assert isinstance(decision, Placement)
        assert [share.cores for _, _, share in decision.allocation.shares()] == [cores]
