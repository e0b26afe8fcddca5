"""MetaX's plugin, native (whole cards of its own choice) and with shares (sgpu), told by a list per container."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hami_operator.core.model import Device, Share
from hami_operator.core.protocol import NODE_LOCK
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import annotations_of

from . import readers
from .habits import Answer, Call, Desk, Injection, Json, by_uuid, node_and_index

DEVICES = "metax-tech.com/node-gpu-devices"
ALLOCATED, TIME, QOS = (
    "metax-tech.com/gpu-devices-allocated",
    "metax-tech.com/predicate-time",
    "metax-tech.com/sgpu-qos-policy",
)
LOSSES, SCORES = "metax-tech.com/gpu.topology.losses", "metax-tech.com/gpu.topology.scores"
#: Cards that are linked with each other, and what a pair of them counts.
_ZONE, _LINK = 4, 10
_WHOLE = 100


def _zones(index: int, count: int) -> Mapping[str, object]:
    return {"linkZone": index // _ZONE + 1}


# -- whole cards -------------------------------------------------------------------------------------------------


def _links(cards: list[Device]) -> int:
    pairs = ((a, b) for n, a in enumerate(cards) for b in cards[n + 1 :])
    return sum(_LINK for a, b in pairs if a.custom["linkZone"] == b.custom["linkZone"])


def _figures(desk: Desk) -> dict[str, str]:
    """By number of cards: what the linked cards it would take are worth, and what the node then loses."""
    free = [card for card in desk.cards if card.healthy and not desk.tenants(card.uuid)]
    losses, scores = {}, {}
    for count in range(1, len(free) + 1):
        taken, left = free[:count], free[count:]
        scores[str(count)] = _links(taken)
        losses[str(count)] = _links(free) - _links(taken) - _links(left)
    return {LOSSES: json.dumps(losses, separators=(",", ":")), SCORES: json.dumps(scores, separators=(",", ":"))}


WHOLE = readers.habits(
    family="Metax-GPU",
    resource="metax-tech.com/gpu",
    card_id=node_and_index("metax"),
    serve=readers.idle_cards("Metax-GPU", "METAX_VISIBLE_DEVICES", lambda card: card.uuid),
    waits=readers.wants_cards,
    facts=_zones,
    publish=_figures,
    publish_after=True,
)


# -- shares ------------------------------------------------------------------------------------------------------


def _report(desk: Desk) -> dict[str, str]:
    """The node's cards, with what is left of them; keys with zero values are left out."""
    return {DEVICES: json.dumps([_record(desk, card) for card in desk.cards], separators=(",", ":"))}


def _record(desk: Desk, card: Device) -> dict[str, Any]:
    tenants = desk.tenants(card.uuid)
    notes = sorted({tenant.note for tenant in tenants if tenant.note})
    record = {
        "uuid": card.uuid,
        "bdf": f"0000:{0x0A + card.index:02x}:00.0",
        "model": "sgpu",
        "totalDevCount": card.slots,
        "totalCompute": card.cores,
        "totalVRam": card.memory_mib,
        "availableDevCount": card.slots - len(tenants),
        "availableCompute": card.cores - sum(tenant.share.cores for tenant in tenants),
        "availableVRam": card.memory_mib - sum(tenant.share.memory_mib for tenant in tenants),
        "numa": card.numa,
        "healthy": card.healthy,
        "qosPolicy": notes[0] if notes else "",
        "linkZone": card.custom["linkZone"],
    }
    return {name: value for name, value in record.items() if value}


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    place = readers.next_place(desk, pod, call)
    if place is None:
        return None
    shares = _shares(pod, place.position)
    if len(shares) != call.count:
        raise AllocateFailed(f"{len(shares)} cards are decided, {call.count} asked for")
    quality = annotations_of(pod).get(QOS, "")
    for share in shares:
        _check_quality(desk, share, quality)
    envs = {"METAX_VISIBLE_DEVICES": ",".join(share.uuid for share in shares)}
    note = "" if all(share.cores in (0, _WHOLE) for share in shares) else quality
    return Answer(place, shares, Injection(envs), note=note, last=readers.is_last(desk, pod, place, call))


def _shares(pod: Json, position: int) -> tuple[Share, ...]:
    text = annotations_of(pod).get(ALLOCATED, "")
    try:
        entries = json.loads(text)[position]
        return tuple(Share(e["uuid"], "Metax-SGPU", e.get("vRam", 0), e.get("compute", 0)) for e in entries)
    except (ValueError, TypeError, KeyError, IndexError):
        raise AllocateFailed(f"annotation {ALLOCATED} is {text!r}: no cards of container {position}") from None


def _check_quality(desk: Desk, share: Share, quality: str) -> None:
    """Those who share a card are all of one quality; who has it whole, and who has no compute, is of none."""
    others = {tenant.note for tenant in desk.tenants(share.uuid) if tenant.note}
    if share.cores not in (0, _WHOLE) and others - {quality}:
        raise AllocateFailed(f"card {share.uuid} has pods of {', '.join(sorted(others))}, this one is {quality}")


SHARED = readers.habits(
    family="Metax-SGPU",
    resource="metax-tech.com/sgpu",
    card_id=by_uuid("GPU-"),
    serve=_serve,
    register_key=DEVICES,
    lock_key=NODE_LOCK,
    waits=readers.waits_with(TIME),
    since=lambda pod: readers.number(pod, TIME),
    facts=_zones,
    publish=_report,
    publish_after=True,
    units=("shares", "MiB", "percent"),
)
