"""Volcano's vGPU plugin (volcano-vgpu-device-plugin): three resources, pods told apart by time, a lock of its own.

It scans all pods of its node for one that has exactly as many cards left as the kubelet asks for, and looks at neither
phase nor uid. What is done has the largest time there is, so that it comes last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hami_operator.core.model import ContainerKind, Device
from hami_operator.core.protocol import decode_shares, encode_shares
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import annotations_of, places

from . import layouts, nvidia, readers
from .habits import OWN, Answer, Call, Desk, Finds, Habits, Handshake, Injection, Json, Release, any_release, by_uuid

NUMBER, MEMORY, CORES = "volcano.sh/vgpu-number", "volcano.sh/vgpu-memory", "volcano.sh/vgpu-cores"
REGISTER, HANDSHAKE = "volcano.sh/node-vgpu-register", "volcano.sh/node-vgpu-handshake"
LEFT, ALLOCATED = "volcano.sh/devices-to-allocate", "volcano.sh/vgpu-ids-new"
NODE, TIME, PHASE = "volcano.sh/vgpu-node", "volcano.sh/vgpu-time", "volcano.sh/bind-phase"
DONE = "18446744073709551615"


def _amounts(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    return {
        NUMBER: sum(card.slots for card in cards),
        MEMORY: sum(card.memory_mib for card in cards),
        CORES: sum(card.cores for card in cards),
    }


def _publish(desk: Desk) -> dict[str, str]:
    """Six fields a card: neither its position nor its NUMA node."""
    records = (
        f"{card.uuid},{card.slots},{card.memory_mib},{card.type},{str(card.healthy).lower()},{card.mode}:"
        for card in desk.cards
    )
    return {REGISTER: "".join(records)}


def _waits(desk: Desk, pod: Json) -> bool:
    return annotations_of(pod).get(NODE) == desk.node


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    """The first container that has cards left; its number is that of the segment, init containers do not count.

    Raises:
        AllocateFailed: the container has another number of cards, or there is none of this number.
        ProtocolError: the list is malformed.
    """
    segments = list(decode_shares(LEFT, annotations_of(pod).get(LEFT, "") + ";"))
    if sum(len(shares) for shares in segments) != call.count:
        return None
    number = next(number for number, shares in enumerate(segments) if shares)
    shares, segments[number] = segments[number], ()
    if len(shares) != call.count:
        raise AllocateFailed(f"device number not matched: {len(shares)} decided, {call.count} asked for")
    containers = [place for place in places(pod) if place.kind is ContainerKind.APP]
    if number >= len(containers):
        raise AllocateFailed(f"the list has cards for container {number}, the pod has {len(containers)}")
    if desk.habits.mode == "mig":
        layouts.check(desk, shares, layouts.VOLCANO)
        injection = layouts.visible(shares)
    else:
        injection = Injection(nvidia.limits(shares))
    return Answer(containers[number], shares, injection, {LEFT: encode_shares(segments).removesuffix(";")})


def _type_text(product: str, release: Release) -> str:
    return f"NVIDIA-{product}"


#: Up to Volcano 1.12 the plugin reported to an annotation, every time; such a one is played beside HAMi 2.7.
_REPORTING = replace(OWN, handshake=Handshake.ALWAYS)
_RELEASES: Mapping[str, Release] = {**any_release(OWN), "2.7": _REPORTING}

HABITS = Habits(
    family="volcano-vgpu",
    resource=NUMBER,
    releases=_RELEASES,
    card_id=by_uuid("GPU-"),
    serve=_serve,
    register_key=REGISTER,
    handshake_key=HANDSHAKE,
    to_allocate_key=LEFT,
    allocated_key=ALLOCATED,
    mode="hami-core",
    finds=Finds.SCAN,
    waits=_waits,
    since=lambda pod: readers.number(pod, TIME),
    phase_key=PHASE,
    closing={TIME: DONE},
    lock_key="hamivgpu",
    lock_of_anyone=True,
    only_counted=frozenset({MEMORY, CORES}),
    amounts=_amounts,
    publish=_publish,
    type_text=_type_text,
    section="volcano",
)

MIG_HABITS = replace(HABITS, mode="mig")
