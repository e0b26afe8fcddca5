"""Moore Threads' toolkit: one list of card indexes for a pod; amounts are those of the container's limits."""

from __future__ import annotations

from collections.abc import Sequence

from hami_operator.core.model import Device, Share
from hami_operator.sandbox.podview import annotations_of, limit, pending, specs

from . import readers
from .habits import Answer, Call, Desk, Habits, Injection, Json, node_and_index

CORES, MEMORY = "mthreads.com/sgpu-core", "mthreads.com/sgpu-memory"
INDEX, NODE, TIME = "mthreads.com/gpu-index", "mthreads.com/predicate-node", "mthreads.com/predicate-time"
_UNIT_MIB = 512


def _amounts(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    return {CORES: sum(card.cores for card in cards), MEMORY: sum(card.memory_mib // _UNIT_MIB for card in cards)}


def _waits(desk: Desk, pod: Json) -> bool:
    return pending(pod) and annotations_of(pod).get(NODE) == desk.node


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    """Called for cores and for memory: the first of a container's calls gives it its cards."""
    place = readers.next_place(desk, pod, call)
    if place is None:
        return None
    if readers.answered(desk, pod, place):
        return Answer(place, (), Injection())
    cards = [desk.card(index) for index in readers.indexes(pod, INDEX)]
    spec = specs(pod)[place.position]
    memory, cores = limit(spec, MEMORY) * _UNIT_MIB // len(cards), limit(spec, CORES) // len(cards)
    shares = tuple(Share(card.uuid, "Mthreads", memory, cores) for card in cards)
    return Answer(place, shares, Injection({"MTHREADS_VISIBLE_DEVICES": annotations_of(pod)[INDEX]}))


HABITS = readers.habits(
    family="Mthreads",
    resource=CORES,
    card_id=node_and_index("mthreads"),
    serve=_serve,
    waits=_waits,
    since=lambda pod: readers.number(pod, TIME),
    amounts=_amounts,
)
