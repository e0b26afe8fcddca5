"""Biren: whole cards, and a ledger that outlives the plugin's list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hami_operator.core import protocol
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Allocation, Device, Node, Share
from hami_operator.core.vendor import Amounts
from tests.builders import NOW, node
from tests.golden import rows
from tests.vendors.binding import bind, pod_of, world
from tests.vendors.replay import check_fit, check_request, family

BIREN = family("Biren")
ONE = {"birentech.com/gpu": 1}


def registered(**fields: Any) -> Node:
    cards = [{"id": f"card_{i}", "count": 1, "devmem": 65024, "health": True, **fields} for i in (0, 1)]
    return node("n1", metadata={"annotations": {"hami.io/node-biren-register": json.dumps(cards)}})


@pytest.mark.parametrize("row", rows("biren.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(BIREN, row)


@pytest.mark.parametrize("row", rows("biren.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(BIREN, Device("", 0, 1, 65024, 100, "Biren"), row)


def test_every_card_of_the_list_is_the_familys_whatever_its_model_is_called() -> None:
    cards = BIREN.inventory(registered(type="BR166C", devcore=7, index=3))
    assert [(card.uuid, card.index, card.cores) for card in cards] == [("card_0", 3, 100), ("card_1", 3, 100)]


def test_lists_hold_no_amounts() -> None:
    text = "card_1,Biren,0,0:;"
    assert bind(world(BIREN, registered()), BIREN, pod_of("p", ONE)) == {
        "hami.io/Biren-devices-to-allocate": text,
        "hami.io/Biren-devices-allocated": text,
    }


def test_a_card_is_held_although_the_plugin_has_emptied_the_list() -> None:
    held = Allocation({"Biren": ((Share("card_1", "Biren", 0, 0),),)})
    annotations = {
        protocol.OWN_ALLOCATION: protocol.encode_allocation(held),
        "hami.io/Biren-devices-allocated": ";",
        protocol.POD_NODE: "n1",
    }
    ledger = Ledger([BIREN])
    ledger.observe(pod_of("p", ONE, annotations=annotations, nodeName="n1"), NOW)
    assert ledger.usage("n1").cards == {"Biren": {"card_1": Amounts(1, 0, 0)}}
