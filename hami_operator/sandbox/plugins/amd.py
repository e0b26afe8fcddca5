"""AMD's plugin (Project-HAMi/amd-device-plugin): compute units of a card by number, first fit, told by annotation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from hami_operator.core.model import Share
from hami_operator.sandbox.errors import AllocateFailed

from . import lists
from .habits import Answer, Call, Desk, Finds, Injection, Json, any_release, by_uuid

UNITS_KEY = "hami.io/amd-cu-allocated"


def _facts(index: int, count: int) -> Mapping[str, object]:
    return {"pciBDF": f"0000:{0x11 + index:02x}:00.0"}


def _serve(desk: Desk, pod: Json, call: Call) -> Answer:
    """HAMi's list, and the compute units. Whether more containers follow is asked of a list that never says so."""
    answer = lists.serve(desk, pod, call)
    given = {share.uuid: _units(desk, share) for share in answer.shares}
    envs = {
        "ROCR_VISIBLE_DEVICES": ",".join(given),
        "HSA_CU_MASK": ";".join(f"{number}:{units}" for number, units in enumerate(given.values())),
        "HIP_DEVICE_MEMORY_LIMIT": f"{answer.shares[0].memory_mib}m",
    }
    text = json.dumps(given, separators=(",", ":"))
    return replace(answer, injection=Injection(envs), writes={**answer.writes, UNITS_KEY: text}, note=text, last=True)


def _units(desk: Desk, share: Share) -> str:
    """The first free units, as ``0-75`` or ``0-3,8-9``."""
    card = next((card for card in desk.cards if card.uuid == share.uuid), None)
    total = 0 if card is None else card.cores
    taken = {unit for tenant in desk.tenants(share.uuid) for unit in _read(json.loads(tenant.note)[share.uuid])}
    free = [unit for unit in range(total) if unit not in taken]
    if len(free) < share.cores:
        raise AllocateFailed(f"card {share.uuid} has {len(free)} compute units free, {share.cores} are asked for")
    return _ranges(free[: share.cores])


def _read(text: str) -> range | list[int]:
    units: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        units += range(int(first), int(last or first) + 1)
    return units


def _ranges(units: list[int]) -> str:
    parts: list[list[int]] = []
    for unit in units:
        if parts and parts[-1][1] == unit - 1:
            parts[-1][1] = unit
        else:
            parts.append([unit, unit])
    return ",".join(f"{first}-{last}" if first != last else f"{first}" for first, last in parts)


HABITS = lists.habits(
    **lists.keys("amd"),
    family="AMD",
    resource="amd.com/gpu",
    releases=any_release(lists.library("AMD")),
    card_id=by_uuid(),
    serve=_serve,
    finds=Finds.LOCK,
    facts=_facts,
    units=("slots", "MiB", "compute units"),
)
