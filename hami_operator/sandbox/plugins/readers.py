"""Plugins that read annotations of their own, one set for a whole pod, and consume none of HAMi's lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from hami_operator.core.model import Device, Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import Place, annotations_of, pending, requests

from .habits import OWN, Answer, Call, Desk, Finds, Habits, Injection, Json, any_release

#: What plugins of this kind have in common: they scan, and tell nobody how it went.
habits = partial(Habits, releases=any_release(OWN), finds=Finds.SCAN, phase_key="", lock_key="")


def next_place(desk: Desk, pod: Json, call: Call) -> Place | None:
    """The first container that asks for exactly this and was not answered yet."""
    served = desk.served.get(pod["metadata"]["uid"], frozenset())
    for place, resource, count in requests(pod, [call.resource]):
        if count == call.count and (place.position, resource) not in served:
            return place
    return None


def answered(desk: Desk, pod: Json, place: Place) -> bool:
    """Whether the container has its cards, from the call for another resource."""
    served = desk.served.get(pod["metadata"]["uid"], frozenset())
    return any(position == place.position for position, _ in served)


def is_last(desk: Desk, pod: Json, place: Place, call: Call) -> bool:
    """Whether every call for this pod is answered with this one."""
    resources = desk.habits.amounts(desk.habits, desk.cards)
    wanted = {(at.position, resource) for at, resource, _ in requests(pod, resources)}
    served = desk.served.get(pod["metadata"]["uid"], frozenset())
    return wanted <= served | {(place.position, call.resource)}


def waits_with(key: str, value: str = "") -> Callable[[Desk, Json], bool]:
    """A scan that takes pending pods with this annotation, where given with this value."""

    def waits(desk: Desk, pod: Json) -> bool:
        found = annotations_of(pod).get(key)
        return pending(pod) and found is not None and value in ("", found)

    return waits


def number(pod: Json, key: str) -> int:
    """A number under an annotation: what scans sort by. Raises AllocateFailed."""
    text = annotations_of(pod).get(key, "0")
    if not text.isdecimal():
        raise AllocateFailed(f"annotation {key} is {text!r}, not a number")
    return int(text)


def indexes(pod: Json, key: str) -> list[int]:
    """A comma list of numbers. Raises AllocateFailed, naming the annotation, for anything else."""
    text = annotations_of(pod).get(key, "")
    if not all(part.isdecimal() for part in text.split(",")):
        raise AllocateFailed(f"annotation {key} is {text!r}, not a list of numbers such as 0,1")
    return [int(part) for part in text.split(",")]


def whole(cards: Sequence[Device], kind: str) -> tuple[Share, ...]:
    """All of these cards."""
    return tuple(Share(card.uuid, kind, card.memory_mib, card.cores) for card in cards)


def taken_before(desk: Desk, pod: Json, place: Place, resource: str) -> int:
    """Ids of the resource that containers before this one ask for: where its part of the pod's one list begins."""
    return sum(count for at, _, count in requests(pod, [resource]) if at.position < place.position)


def wants_cards(desk: Desk, pod: Json) -> bool:
    """A scan that takes pods which ask for the plugin's resource, whatever they bear."""
    return bool(requests(pod, [desk.habits.resource]))


def idle_cards(kind: str, variable: str, name: Callable[[Device], str]) -> Callable[[Desk, Json, Call], Answer | None]:
    """Serving as a plugin that chooses by itself: the first idle cards, told by these names in one variable."""

    def serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
        place = next_place(desk, pod, call)
        if place is None:
            return None
        idle = [card for card in desk.cards if card.healthy and not desk.tenants(card.uuid)]
        if len(idle) < call.count:
            raise AllocateFailed(f"{call.count} cards are asked for, {len(idle)} are idle")
        cards = idle[: call.count]
        return Answer(place, whole(cards, kind), Injection({variable: ",".join(map(name, cards))}))

    return serve
