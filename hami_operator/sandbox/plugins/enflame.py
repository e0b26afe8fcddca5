"""Enflame's plugins: whole cards of their own choice, slices (gcushare v3.6.5), and hard partitions (DRS)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hami_operator.core.model import Device, Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import annotations_of

from . import readers
from .habits import Answer, Call, Desk, Habits, Injection, Json, node_and_index

SLICES_NAME, CARDS_NAME, PARTITION_NAME = "enflame.com/shared-gcu", "enflame.com/gcu-count", "enflame.com/drs-gcu"
SHARED_CAPACITY, DRS_CAPACITY = "enflame.com/gcu-shared-capacity", "enflame.com/gcu-drs-capacity"
ASSIGNED, TIME, MINOR = "enflame.com/gcu-assigned", "enflame.com/gcu-assigned-time", "enflame.com/gcu-assigned-minor"
CONTAINERS = "assigned-containers"
#: Slices of a card (``--slice-count``), and the partitions that a card can be cut into with their ids.
SLICES = 6
PARTITIONS = {"1g.6gb": "0", "3g.20gb": "1", "6g.40gb": "2"}


WHOLE = readers.habits(
    family="GCU",
    resource="enflame.com/gcu",
    card_id=node_and_index("GCU"),
    serve=readers.idle_cards("GCU", "ENFLAME_VISIBLE_DEVICES", lambda card: str(card.index)),
    waits=readers.wants_cards,
)


# -- slices and partitions ---------------------------------------------------------------------------------------


def _slice_cards(cards: Sequence[Device]) -> dict[str, Device]:
    """The checker counts slices."""
    return {card.uuid: replace(card, memory_mib=SLICES, cores=0, slots=SLICES) for card in cards}


def _shared_amounts(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    return {SLICES_NAME: SLICES * len(cards), CARDS_NAME: len(cards)}


def _shared_capacity(desk: Desk) -> dict[str, str]:
    healthy = {str(card.index): SLICES if card.healthy else 0 for card in desk.cards}
    return {SHARED_CAPACITY: json.dumps(healthy, separators=(",", ":"))}


def _assigned(pod: Json) -> dict[str, dict[str, Any]]:
    text = annotations_of(pod).get(CONTAINERS, "{}")
    try:
        found: dict[str, dict[str, Any]] = json.loads(text)
    except ValueError:
        raise AllocateFailed(f"annotation {CONTAINERS} is {text!r}, no JSON object") from None
    return found


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    """The first container of the oldest pod that asks for so many slices; its cards are the pod's."""
    place = readers.next_place(desk, pod, call)
    assigned = _assigned(pod)
    if place is None or assigned.get(place.container, {}).get("allocated"):
        return None
    entry = assigned.get(place.container, {})
    if desk.habits is PARTITIONED:
        _check_partition(entry, call)
    cards = [desk.card(index) for index in readers.indexes(pod, MINOR)]
    if call.count % len(cards):
        raise AllocateFailed(f"{call.count} slices are asked for of {len(cards)} cards")
    shares = tuple(Share(card.uuid, "Enflame", call.count // len(cards), 0) for card in cards)
    assigned[place.container] = {**entry, "allocated": True}
    last = readers.is_last(desk, pod, place, call)
    writes = {CONTAINERS: json.dumps(assigned, separators=(",", ":"))} | ({ASSIGNED: "true"} if last else {})
    return Answer(place, shares, Injection({"ENFLAME_VISIBLE_DEVICES": annotations_of(pod)[MINOR]}), writes, last=last)


def _check_partition(entry: dict[str, Any], call: Call) -> None:
    name = entry.get("profileName", "")
    if PARTITIONS.get(name) != entry.get("profileID") or entry.get("request") != call.count:
        raise AllocateFailed(f"{entry} is no partition of {call.count} slices; there are {', '.join(PARTITIONS)}")


SHARED = readers.habits(
    family="Enflame",
    resource=SLICES_NAME,
    card_id=node_and_index("enflame"),
    serve=_serve,
    waits=readers.waits_with(TIME),
    since=lambda pod: readers.number(pod, TIME),
    amounts=_shared_amounts,
    publish=_shared_capacity,
    checked=_slice_cards,
    units=("containers", "slices", "cores"),
    labels={"enflame.com/gcushare": "true"},
)


def _drs_capacity(desk: Desk) -> dict[str, str]:
    devices = [{"index": str(c.index), "minor": str(c.index), "capacity": SLICES} for c in desk.cards if c.healthy]
    return {DRS_CAPACITY: json.dumps({"devices": devices, "profiles": PARTITIONS}, separators=(",", ":"))}


def _drs_amounts(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    return {PARTITION_NAME: SLICES * len(cards)}


PARTITIONED = replace(
    SHARED,
    resource=PARTITION_NAME,
    card_id=node_and_index("enflame-drs"),
    amounts=_drs_amounts,
    publish=_drs_capacity,
    labels={},
)
