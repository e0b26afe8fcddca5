"""What every card type's node publishes is what the operator reads: cards, their ids, memory and cores."""

from __future__ import annotations

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.inventory import Inventory
from hami_operator.core.model import Device
from hami_operator.core.objects import read_node
from hami_operator.sandbox.cards import CARD_TYPES, card_type
from hami_operator.sandbox.podstatus import node_object
from tests.sandbox.plugins.desks import desk

PROFILES = DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()
KEYS = {profile.key for profile in PROFILES}


def read(name: str, cards: int, *, sick: int | None = None) -> dict[str, tuple[Device, ...]]:
    at = desk(name, cards)
    healthy = [card for card in at.cards if card.index != sick]
    node = node_object("n", at.habits.amounts(at.habits, at.cards), 0, at.habits.labels)
    allocatable = at.habits.amounts(at.habits, healthy)
    node["status"]["allocatable"] = {**node["status"]["allocatable"], **{k: str(v) for k, v in allocatable.items()}}
    node["metadata"]["annotations"] = at.habits.publish(at)
    inventory = Inventory(PROFILES)
    inventory.update(read_node(node))
    entry = inventory.get("n")
    assert entry is not None
    assert not entry.broken
    assert entry.live == entry.devices.keys()
    return dict(entry.devices)


#: Whose register has no positions: the operator numbers their cards by uuid.
UNNUMBERED = {"a30-volcano", "a30-volcano-mig"}


@pytest.mark.parametrize("name", CARD_TYPES)
def test_a_node_of_this_type_is_read_as_one_family_with_all_its_cards(name: str) -> None:
    ((family, devices),) = read(name, 4).items()
    assert family in KEYS
    uuids = [card.uuid for card in desk(name, 4).cards]
    assert [device.uuid for device in devices] == (sorted(uuids) if name in UNNUMBERED else uuids)
    assert [device.index for device in devices] == [0, 1, 2, 3]


#: Families that count percent of a card, and cards whose memory or cores the operator takes from elsewhere.
OWN_COUNT = {"s60", "s60-shared", "br104", "va1", "va1-die", "s60-drs", "a100-40-mig"}


@pytest.mark.parametrize("name", [name for name in CARD_TYPES if name not in OWN_COUNT])
def test_its_cards_have_the_memory_and_cores_of_the_type(name: str) -> None:
    (devices,) = read(name, 2).values()
    card = card_type(name)
    assert {(device.memory_mib, device.cores) for device in devices} == {(card.memory_mib, card.cores)}


@pytest.mark.parametrize("name", ["metax-c500", "s60", "trn1", "mlu370", "kunlun-p800"])
def test_a_sick_card_of_a_type_that_is_counted_lowers_what_is_allocatable(name: str) -> None:
    at = desk(name, 4)
    all_of, left = (at.habits.amounts(at.habits, cards) for cards in (at.cards, at.cards[:3]))
    assert all(left[resource] < amount for resource, amount in all_of.items())
    assert read(name, 4, sick=3)
