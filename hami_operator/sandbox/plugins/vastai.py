"""Vastai's plugin, which gives whole cards, or the dies of cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from . import lists
from .habits import any_release, by_uuid, visible

#: Dies of one card.
_DIES = 2

CARDS = lists.habits(
    **lists.keys("va", "Vastai"),
    family="Vastai",
    resource="vastaitech.com/va",
    releases=any_release(lists.library("Vastai")),
    card_id=by_uuid("va-"),
    inject=visible("VASTAI_VISIBLE_DEVICES"),
)


def _die(index: int, count: int) -> Mapping[str, object]:
    return {"DeviceStrategy": "die", "AIC": str(index // _DIES)}


DIES = replace(CARDS, facts=_die)
