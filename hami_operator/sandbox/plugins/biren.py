"""Biren's plugin (Project-HAMi/biren-device-plugin): both its lists are one annotation, which it empties."""

from __future__ import annotations

import uuid

from . import lists
from .habits import any_release, visible

LIST = "hami.io/Biren-devices-allocated"


def _card_id(node: str, index: int, card: uuid.UUID) -> str:
    return f"card_{index}"


HABITS = lists.habits(
    family="Biren",
    resource="birentech.com/gpu",
    releases=any_release(lists.library("Biren")),
    card_id=_card_id,
    register_key="hami.io/node-biren-register",
    handshake_key="hami.io/node-handshake-biren",
    to_allocate_key=LIST,
    allocated_key=LIST,
    inject=visible("BIREN_VISIBLE_DEVICES"),
)
