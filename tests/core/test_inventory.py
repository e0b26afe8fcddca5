"""Which cards a node has: the last good list stays, a plugin that is not at work gives nothing."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core import protocol
from hami_operator.core.inventory import Inventory
from tests.builders import NVIDIA, REGISTER, device, node

CARD = device("GPU-a")


def known(inventory: Inventory, name: str = "n1") -> list[str]:
    entry = inventory.get(name)
    assert entry is not None
    return [card.uuid for card in entry.devices.get("NVIDIA", ())]


@pytest.mark.parametrize(
    "encode", [protocol.encode_devices_text, lambda cards: protocol.encode_devices_json(cards, "NVIDIA")]
)
def test_both_dialects_are_read(encode: Any) -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", metadata={"annotations": {REGISTER: encode([CARD, device("GPU-b", index=1)])}}))
    assert known(inventory) == ["GPU-a", "GPU-b"]


def test_a_list_that_cannot_be_read_leaves_the_last_good_one_and_is_told_once() -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", [CARD]))
    broken = node("n1", metadata={"annotations": {REGISTER: "GPU-a,10,1,100,A30,0,true,0:"}})
    assert "8 fields" in inventory.update(broken).problems["NVIDIA"]
    assert known(inventory) == ["GPU-a"]
    assert inventory.update(broken).problems == {}
    entry = inventory.get("n1")
    assert entry is not None
    assert "8 fields" in entry.broken["NVIDIA"]
    assert inventory.update(node("n1", [CARD])).problems == {}


@pytest.mark.parametrize("text", ["", "[]", None])
def test_an_empty_list_takes_the_family_from_the_node(text: str | None) -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", [CARD]))
    annotations = {} if text is None else {REGISTER: text}
    assert inventory.update(node("n1", metadata={"annotations": annotations})).changed
    assert known(inventory) == []


@pytest.mark.parametrize(
    ("status", "live"),
    [
        ({}, True),
        ({"allocatable": {"nvidia.com/gpu": "10"}}, True),
        ({"allocatable": {"nvidia.com/gpu": "0"}}, False),
        ({"allocatable": {"cpu": "4"}}, False),
        ({"capacity": {"nvidia.com/gpu": "10"}}, True),
        ({"allocatable": {"nvidia.com/gpu": "10"}, "conditions": [{"type": "Ready", "status": "False"}]}, False),
    ],
)
def test_a_family_is_live_when_its_node_is_ready_and_offers_its_count(status: dict[str, Any], live: bool) -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", [CARD], status=status))
    entry = inventory.get("n1")
    assert entry is not None
    assert ("NVIDIA" in entry.live) is live


@pytest.mark.parametrize(
    "handshake",
    [
        "Reported 2025-10-09 08:53:20.1 +0000 UTC m=+1",
        "Reported_2025.10.09 08:53:20",
        "Requesting_2025-10-09 08:53:20",
        "Requesting",
        "Requesting_garbage",
        "Deleted_2025-10-09 08:53:20",
    ],
)
def test_no_handshake_text_takes_cards_away(handshake: str) -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", [CARD], metadata={"annotations": {"hami.io/node-handshake": handshake}}))
    entry = inventory.get("n1")
    assert entry is not None
    assert entry.live == {"NVIDIA"}
    assert known(inventory) == ["GPU-a"]


def test_cordoned_cards_are_listed_by_uuid() -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", [CARD], metadata={"annotations": {protocol.DEVICE_CORDON: " GPU-a, GPU-z ,"}}))
    entry = inventory.get("n1")
    assert entry is not None
    assert entry.cordoned == {"GPU-a", "GPU-z"}


def test_a_heartbeat_changes_nothing_that_a_decision_could_see() -> None:
    inventory = Inventory([NVIDIA])
    assert inventory.update(node("n1", [CARD])).changed
    beat = {"resourceVersion": "8", "annotations": {protocol.NODE_LOCK: "2025-10-09T08:53:20Z,a,b"}}
    position = inventory.journal.position
    assert not inventory.update(node("n1", [CARD], metadata=beat)).changed
    assert inventory.journal.position == position
    assert inventory.update(node("n1", [CARD], spec={"unschedulable": True})).changed
    assert inventory.journal.since(position) == {"n1"}


def test_a_lock_that_comes_or_goes_is_no_news_but_the_node_is_the_newest() -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", [CARD]))
    annotations = {REGISTER: protocol.encode_devices_text([CARD]), NVIDIA.lock_key: "2025-10-09T08:53:20Z,ns,p"}
    locked = node("n1", metadata={"annotations": annotations})
    assert not inventory.update(locked).changed
    entry = inventory.get("n1")
    assert entry is not None
    assert entry.node == locked
    assert known(inventory) == ["GPU-a"]


def test_a_node_that_is_gone_is_forgotten() -> None:
    inventory = Inventory([NVIDIA])
    inventory.update(node("n1", [CARD]))
    assert len(inventory) == 1
    assert inventory.remove("n1")
    assert not inventory.remove("n1")
    assert inventory.get("n1") is None
    assert list(inventory) == []
