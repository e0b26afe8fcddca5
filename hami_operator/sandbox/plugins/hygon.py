"""Hygon's DCU plugin (Project-HAMi/dcu-vgpu-device-plugin): the comma form, and pods found by a scan alone."""

from __future__ import annotations

import uuid

from . import lists
from .habits import Finds, Handshake, Release, any_release, visible

_RELEASE = Release("2.7", json_register=False, keeps_empty=False, handshake=Handshake.ALWAYS, more_word="DCU")


def _card_id(node: str, index: int, card: uuid.UUID) -> str:
    return f"DCU-{card.hex[:12].upper()}"


def _type_text(product: str, release: Release) -> str:
    return f"DCU-{product}"


HABITS = lists.habits(
    **lists.keys("dcu"),
    family="DCU",
    resource="hygon.com/dcunum",
    releases=any_release(_RELEASE),
    card_id=_card_id,
    mode="hami",
    finds=Finds.SCAN,
    type_text=_type_text,
    inject=visible("HYGON_VISIBLE_DEVICES"),  # the limits of a part of one card stand in a file
)
