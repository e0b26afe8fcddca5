"""Iluvatar's plugins: gpu-manager with indexes per container (HAMi v2.7.0), one per chip with lists (v2.10.0)."""

from __future__ import annotations

from collections.abc import Sequence

from hami_operator.core.model import Device, Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import limit, specs

from . import lists, readers
from .habits import Answer, Call, Desk, Habits, Injection, Json, any_release, by_uuid, node_and_index, visible

CORES, MEMORY, COUNT = "iluvatar.ai/vcuda-core", "iluvatar.ai/vcuda-memory", "iluvatar.ai/vgpu"
INDEX_PREFIX = "iluvatar.ai/predicate-gpu-idx-"
ASSIGNED, TIME = "iluvatar.ai/gpu-assigned", "iluvatar.ai/predicate-time"
VISIBLE = "ILUVATAR_COREX_VISIBLE_DEVICES"
_UNIT_MIB = 256


def _amounts(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    return {CORES: sum(card.cores for card in cards), MEMORY: sum(card.memory_mib // _UNIT_MIB for card in cards)}


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    """Called for cores and for memory: the first of a container's calls gives it its cards."""
    place = readers.next_place(desk, pod, call)
    if place is None:
        return None
    last = readers.is_last(desk, pod, place, call)
    writes = {ASSIGNED: "true"} if last else {}
    if readers.answered(desk, pod, place):
        return Answer(place, (), Injection(), writes, last=last)
    cards = [desk.card(index) for index in readers.indexes(pod, f"{INDEX_PREFIX}{place.position}")]
    spec = specs(pod)[place.position]
    if len(cards) != limit(spec, COUNT):
        raise AllocateFailed(f"{len(cards)} cards are named, the container asks for {limit(spec, COUNT)}")
    memory, cores = limit(spec, MEMORY) * _UNIT_MIB, limit(spec, CORES) // len(cards)
    shares = tuple(Share(card.uuid, "Iluvatar", memory or card.memory_mib, cores) for card in cards)
    injection = Injection({VISIBLE: ",".join(str(card.index) for card in cards)})
    return Answer(place, shares, injection, writes, last=last)


MANAGER = readers.habits(
    family="Iluvatar",
    resource=CORES,
    card_id=node_and_index("iluvatar"),
    serve=_serve,
    waits=readers.waits_with(ASSIGNED, "false"),
    since=lambda pod: readers.number(pod, TIME),
    amounts=_amounts,
)


def chip(word: str) -> Habits:
    """The plugin of one chip."""
    return lists.habits(
        **lists.keys(word),
        family=word,
        resource=f"iluvatar.ai/{word}-vgpu",
        releases=any_release(lists.library(word)),
        card_id=by_uuid("GPU-"),
        inject=visible(VISIBLE),
        section="iluvatars",
    )
