"""Vastai's plugin, which gives whole cards, or the dies of cards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from . import lists
from .habits import Grant, Habits, Injection, any_release, no_facts

#: Dies of one card.
_DIES = 2


def _card_id(node: str, index: int, card: uuid.UUID) -> str:
    return f"va-{card}"


def _die(index: int, count: int) -> Mapping[str, object]:
    return {"DeviceStrategy": "die", "AIC": str(index // _DIES)}


def _inject(grant: Grant) -> Injection:
    return Injection({"VASTAI_VISIBLE_DEVICES": ",".join(share.uuid for share in grant.shares)})


def _habits(facts: Callable[[int, int], Mapping[str, object]]) -> Habits:
    return Habits(
        family="Vastai",
        resource="vastaitech.com/va",
        releases=any_release(lists.library("Vastai")),
        card_id=_card_id,
        serve=lists.serve,
        register_key="hami.io/node-va-register",
        handshake_key="hami.io/node-handshake-va",
        to_allocate_key="hami.io/Vastai-devices-to-allocate",
        allocated_key="hami.io/Vastai-devices-allocated",
        waits=lists.waits,
        facts=facts,
        inject=_inject,
    )


CARDS, DIES = _habits(no_facts), _habits(_die)
