"""A plugin's desk and a pod before it, in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hami_operator.core.model import Share
from hami_operator.sandbox.cards import card_type, cards_of
from hami_operator.sandbox.plugins import Answer, Call, Desk, Tenancy

Json = dict[str, Any]


def desk(
    card: str, cards: int = 2, held: Mapping[int, list[Share | Tenancy]] | None = None, release: str = "2.10"
) -> Desk:
    """The desk of the node ``n``, by default with the newest plugin; ``held`` is what others hold, by card's index."""
    habits = card_type(card).habits
    of = habits.releases[release]
    devices = cards_of("n", card_type(card), cards, of)
    tenants = {
        devices[index].uuid: [t if isinstance(t, Tenancy) else Tenancy(f"uid-{index}", t) for t in given]
        for index, given in (held or {}).items()
    }
    return Desk("n", habits, of, devices, tenants)


def pod(*limits: Mapping[str, int], annotations: Mapping[str, str] | None = None) -> Json:
    """A pending pod with a container (``c0``, ``c1``, ...) for each of these limits."""
    containers = [
        {"name": f"c{n}", "resources": {"limits": {name: str(amount) for name, amount in limit.items()}}}
        for n, limit in enumerate(limits)
    ]
    return {
        "metadata": {"namespace": "default", "name": "p", "uid": "uid-p", "annotations": dict(annotations or {})},
        "spec": {"containers": containers},
        "status": {"phase": "Pending"},
    }


def serve(at: Desk, obj: Json, resource: str, count: int) -> Answer | None:
    """What the plugin answers to a call."""
    return at.habits.serve(at, obj, Call(resource, count))


def given(at: Desk, obj: Json, resource: str, count: int) -> tuple[list[tuple[str, int, int]], Answer]:
    """The cards that are handed out as (id, memory, cores), and the whole answer."""
    answer = serve(at, obj, resource, count)
    assert answer is not None
    return [(share.uuid, share.memory_mib, share.cores) for share in answer.shares], answer
