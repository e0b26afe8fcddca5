"""Hygon's DCU plugin (Project-HAMi/dcu-vgpu-device-plugin): the comma form, and pods found by a scan alone."""

from __future__ import annotations

import uuid

from . import lists
from .habits import Finds, Grant, Habits, Handshake, Injection, Release, any_release

_RELEASE = Release("2.7", json_register=False, keeps_empty=False, handshake=Handshake.ALWAYS, more_word="DCU")


def _card_id(node: str, index: int, card: uuid.UUID) -> str:
    return f"DCU-{card.hex[:12].upper()}"


def _type_text(product: str, release: Release) -> str:
    return f"DCU-{product}"


def _inject(grant: Grant) -> Injection:
    """A part of one card is a file with its limits; several cards and whole ones have none."""
    return Injection({"HYGON_VISIBLE_DEVICES": ",".join(share.uuid for share in grant.shares)})


HABITS = Habits(
    family="DCU",
    resource="hygon.com/dcunum",
    releases=any_release(_RELEASE),
    card_id=_card_id,
    serve=lists.serve,
    register_key="hami.io/node-dcu-register",
    handshake_key="hami.io/node-handshake-dcu",
    to_allocate_key="hami.io/dcu-devices-to-allocate",
    allocated_key="hami.io/dcu-devices-allocated",
    mode="hami",
    finds=Finds.SCAN,
    waits=lists.waits,
    type_text=_type_text,
    inject=_inject,
)
