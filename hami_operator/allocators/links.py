"""Links between a node's cards as hooks: cards learn their links, sets are chosen by them, nodes scored and refused.

What is best is the affair of ``pairwise``, which knows positions and scores alone. Parts of cards have no links.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hami_operator.core.model import Device
from hami_operator.core.reasons import Reason, Refusal
from hami_operator.core.vendor import CardState, Chooser, FitContext, Outlook

from .pairwise import Matrix, best_linked_set, best_set, largest_linked, loss, total

#: How a pod may want its set linked: insisting while some node could give one (auto), always, never.
WORDS = ("auto", "require", "prefer")


# -- the cards ---------------------------------------------------------------------------------------------------


def _read_matrix(text: str, uuids: Sequence[str]) -> Matrix | None:
    """The pair scores of ``hami.io/node-nvidia-score`` by position; None when nothing is known.

    Of two that differ by direction the smaller counts.
    """
    try:
        records = json.loads(text) if text else []
        scores = {record["uuid"]: {uuid: int(n) for uuid, n in record["score"].items()} for record in records}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None

    def pair(a: str, b: str) -> int:
        return 0 if a == b else max(min(scores.get(a, {}).get(b, 0), scores.get(b, {}).get(a, 0)), 0)

    matrix = tuple(tuple(pair(a, b) for b in uuids) for a in uuids)
    return matrix if any(any(row) for row in matrix) else None


def with_links(devices: Sequence[Device], text: str) -> tuple[Device, ...]:
    """The cards, each with the matrix of all pair scores and its position there, where scores are known."""
    matrix = _read_matrix(text, [device.uuid for device in devices])
    if matrix is None:
        return tuple(devices)
    return tuple(
        replace(device, custom={**device.custom, "links": matrix, "position": position})
        for position, device in enumerate(devices)
    )


def matrix_of(devices: Iterable[Device]) -> Matrix | None:
    """The matrix that these cards of one node stand in; None when nothing is known of their links."""
    for device in devices:
        matrix: Matrix | None = device.custom.get("links")  # type: ignore[assignment]
        return matrix
    return None


def position_of(device: Device) -> int:
    """Where a card stands in its matrix."""
    position: int = device.custom["position"]  # type: ignore[assignment]
    return position


# -- the decision ------------------------------------------------------------------------------------------------


def chooser(context: FitContext, word: str) -> Chooser | None:
    """By links where the pod wants that and they are known; else the order of the policy decides.

    ``word``: ``require`` insists on linked cards, ``prefer`` does not, ``auto`` does while some node could give them.
    """
    count = context.request.count
    if not context.policy.topology_aware:
        return None
    insists = count > 1 and (word == "require" or (word == "auto" and context.reach >= count))
    matrix = matrix_of(state.device for state in context.cards)
    if matrix is None:
        return (lambda candidates, wanted: _UNKNOWN) if insists else None
    links = matrix

    def choose(candidates: Sequence[CardState], wanted: int) -> Sequence[CardState] | Refusal:
        by_position = {position_of(state.device): state for state in candidates if not state.device.parts}
        free = tuple(sorted(by_position, reverse=True))
        if not insists:
            enough = len(free) >= wanted
            return [by_position[place] for place in best_set(links, free, wanted)] if enough else candidates[:wanted]
        chosen = best_linked_set(links, free, wanted) if len(free) >= wanted else None
        if chosen is None:
            return _not_linked(largest_linked(links, free))
        return [by_position[place] for place in chosen]

    return choose


_UNKNOWN = Refusal(Reason.TOPOLOGY_NOT_FIT, detail="its links are not known")


def _not_linked(most: int) -> Refusal:
    text = f"at most {most} linked cards are free" if most > 1 else "no linked cards are free"
    return Refusal(Reason.TOPOLOGY_NOT_FIT, detail=text)


def node_score(outlook: Outlook) -> float:
    """``10 x (scores inside the chosen set) - (scores cut from idle cards)``, for pods that want it by links.

    It outweighs usage: a group of just the right size is taken before a larger one is broken.
    """
    matrix = matrix_of(outlook.devices.values()) if outlook.card_policy.topology_aware else None
    if matrix is None:
        return 0.0
    chosen = [position_of(outlook.devices[card]) for card in sorted(outlook.cards())]
    idle = {position_of(d) for d in outlook.devices.values() if d.healthy and d.uuid not in outlook.used}
    return 10.0 * total(matrix, chosen) - loss(matrix, sorted(idle.union(chosen)), chosen)


def reach(devices: Sequence[Device]) -> int:
    """How many of the cards, at most, are linked each with each."""
    matrix = matrix_of(devices)
    if matrix is None:
        return 0
    return largest_linked(matrix, tuple(sorted((position_of(d) for d in devices if not d.parts), reverse=True)))
