"""Huawei's Ascend plugin (Project-HAMi/ascend-device-plugin): lists of HAMi's library, and per card a template.

Templates: the plugin's configuration in HAMi v2.10.0 charts/hami/templates/scheduler/device-configmap.yaml.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hami_operator.core.model import Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import annotations_of

from . import lists
from .habits import Answer, Call, Desk, Habits, Injection, Json, any_release, register

NODE_SOFT = "hami-vnpu-core"
#: Positions from here on are in the second network group.
_GROUP = 4

_HALF_AND_QUARTER = {"vir05_1c_16g": 16384, "vir10_3c_32g": 32768}

#: Chip -> what it can be cut into, in MiB.
TEMPLATES: Mapping[str, Mapping[str, int]] = {
    "Ascend910A": {"vir02": 2184, "vir04": 4369, "vir08": 8738, "vir16": 17476},
    "Ascend910B2": {"vir03_1c_8g": 8192, "vir06_1c_16g": 16384, "vir12_3c_32g": 32768},
    "Ascend910B3": _HALF_AND_QUARTER,
    "Ascend910B4-1": _HALF_AND_QUARTER,
    "Ascend910B4": {"vir05_1c_8g": 8192, "vir10_3c_16g": 16384},
    "Ascend910C": _HALF_AND_QUARTER,
    "Ascend310P": {"vir01": 3072, "vir02": 6144, "vir04": 12288},
}


def _card_id(node: str, index: int, card: uuid.UUID) -> str:
    return str(card).upper()


def _stamp(now: float) -> str:
    return f"Reported_{datetime.datetime.fromtimestamp(now, datetime.UTC):%Y.%m.%d %H:%M:%S}"


def _one_socket(index: int, count: int) -> int:
    return 0


def habits(word: str, *, soft: bool = False) -> Habits:
    """The plugin of one chip; ``soft`` shares cards by software instead of templates."""

    def facts(index: int, count: int) -> Mapping[str, object]:
        if not word.startswith("Ascend910"):
            return {}
        return {"NetworkID": 0 if index < _GROUP or word == "Ascend910C" else 1}

    def publish(desk: Desk) -> dict[str, str]:
        return register(desk) | {NODE_SOFT: str(soft).lower()}

    def serve(desk: Desk, pod: Json, call: Call) -> Answer:
        answer = lists.serve(desk, pod, call)
        entries = [_entry(pod, word, share) for share in answer.shares]
        for share, entry in zip(answer.shares, entries, strict=True):
            _check(desk, share, entry, {} if soft else TEMPLATES[word])
        return replace(answer, injection=_inject(desk, answer.shares, entries))

    return lists.habits(
        **lists.keys(word, register_key=f"hami.io/node-register-{word}"),
        family=word,
        resource=f"huawei.com/{word}",
        releases=any_release(lists.library(word)),
        card_id=_card_id,
        serve=serve,
        numa_of=_one_socket,
        facts=facts,
        publish=publish,
        stamp=_stamp,
        section="vnpus",
    )


def _entry(pod: Json, word: str, share: Share) -> dict[str, Any]:
    """What the pod's annotation says of the card; the last one wins where a card is named twice, as in the plugin."""
    key = f"huawei.com/{word}"
    try:
        entries: list[dict[str, Any]] = json.loads(annotations_of(pod).get(key, ""))
        return {entry["UUID"]: entry for entry in entries}[share.uuid]
    except (ValueError, TypeError, KeyError):
        raise AllocateFailed(f"annotation {key} does not tell how card {share.uuid} is given") from None


def _check(desk: Desk, share: Share, entry: Mapping[str, Any], templates: Mapping[str, int]) -> None:
    """The slice that is made is the slice that was counted."""
    name = entry.get("temp", "")
    card = next((card for card in desk.cards if card.uuid == share.uuid), None)
    if name and name not in templates:
        raise AllocateFailed(f"template {name!r} is not known here; known are {', '.join(templates) or 'none'}")
    made = templates[name] if name else share.memory_mib if not templates or card is None else card.memory_mib
    if made != share.memory_mib:
        raise AllocateFailed(f"{name or 'the whole card'} has {made} MiB, {share.memory_mib} MiB are counted")


def _inject(desk: Desk, shares: tuple[Share, ...], entries: list[dict[str, Any]]) -> Injection:
    index = {card.uuid: card.index for card in desk.cards}
    first = entries[0]
    envs = {"ASCEND_VISIBLE_DEVICES": ",".join(str(index.get(share.uuid, "")) for share in shares)}
    if name := first.get("temp"):
        envs["ASCEND_VNPU_SPECS"] = name
    if desk.cards and "core" in first:
        envs |= {"NPU_MEM_QUOTA": str(first.get("memory", 0)), "NPU_PRIORITY": str(first["core"])}
    return Injection(envs)
