"""Cambricon's plugin in dynamic-smlu mode (v2.0.23): one slice for a pod, made from a profile.

Of the pending pods exactly one may wait for it, with exactly one container that asks for a slice. It is called for
cores and for memory: the first call makes the slice, the last one ends with the instance and without the lock.
"""

from __future__ import annotations

from collections.abc import Sequence

from hami_operator.core.model import Device, Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import annotations_of, requests

from . import readers
from .habits import Answer, Call, Desk, Habits, Injection, Json, node_and_index

CORES, MEMORY, REAL = "cambricon.com/mlu.smlu.vcore", "cambricon.com/mlu.smlu.vmemory", "cambricon.com/real-mlu-counts"
PROFILE, INSTANCE = "CAMBRICON_DSMLU_PROFILE", "CAMBRICON_DSMLU_PROFILE_INSTANCE"
#: So spelled by the plugin.
FLAG = "CAMBRICON_DSMLU_ASSIGHED"
_UNIT_MIB = 256


def _amounts(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    return {
        CORES: sum(card.cores for card in cards),
        MEMORY: sum(card.memory_mib // _UNIT_MIB for card in cards),
        REAL: len(cards),
    }


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    if len({place.position for place, _, _ in requests(pod, (CORES, MEMORY))}) != 1:
        raise AllocateFailed(f"not exactly one container asks for {CORES} and {MEMORY}")
    place = readers.next_place(desk, pod, call)
    if place is None:
        raise AllocateFailed(f"no container asks for {call.count} of {call.resource}")
    index, cores, units = _profile(pod)
    if not readers.is_last(desk, pod, place, call):
        card = desk.card(index)
        share = Share(card.uuid, "MLU", units * _UNIT_MIB, cores)
        return Answer(place, (share,), Injection({"CAMBRICON_VISIBLE_DEVICES": str(index)}), last=False)
    if not readers.answered(desk, pod, place):
        raise AllocateFailed(f"a pod must ask for {CORES} and for {MEMORY}")
    instance = f"{cores}c.{units}m_{index}_{len(desk.tenants(desk.card(index).uuid))}_0"
    return Answer(place, (), Injection(), {FLAG: "true", INSTANCE: instance})


def _profile(pod: Json) -> tuple[int, int, int]:
    """Card, cores, units of memory. Raises AllocateFailed."""
    text = annotations_of(pod).get(PROFILE, "")
    parts = text.split("_")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise AllocateFailed(f"annotation {PROFILE} is {text!r}, not card_cores_memory")
    return int(parts[0]), int(parts[1]), int(parts[2])


HABITS = readers.habits(
    family="MLU",
    resource=CORES,
    card_id=node_and_index("cambricon-mlu"),
    serve=_serve,
    lock_key="cambricon.com/dsmlu.lock",
    waits=readers.waits_with(FLAG, "false"),
    amounts=_amounts,
)
