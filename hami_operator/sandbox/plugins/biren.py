"""Biren's plugin (Project-HAMi/biren-device-plugin): both its lists are one annotation, which it empties."""

from __future__ import annotations

import uuid

from . import lists
from .habits import Grant, Habits, Injection, any_release


def _card_id(node: str, index: int, card: uuid.UUID) -> str:
    return f"card_{index}"


def _inject(grant: Grant) -> Injection:
    return Injection({"BIREN_VISIBLE_DEVICES": ",".join(share.uuid for share in grant.shares)})


HABITS = Habits(
    family="Biren",
    resource="birentech.com/gpu",
    releases=any_release(lists.library("Biren")),
    card_id=_card_id,
    serve=lists.serve,
    register_key="hami.io/node-biren-register",
    handshake_key="hami.io/node-handshake-biren",
    to_allocate_key="hami.io/Biren-devices-allocated",
    allocated_key="hami.io/Biren-devices-allocated",
    waits=lists.waits,
    inject=_inject,
)
