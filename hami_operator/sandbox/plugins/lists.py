"""Plugins that consume HAMi's lists: the segments of an annotation, one for each container.

Sources: HAMi v2.7.0 pkg/device/devices.go, pkg/util/util.go, pkg/device-plugin/nvidiadevice/nvinternal/plugin. What
vendors build on HAMi's library does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import ContainerKind, Share
from hami_operator.core.protocol import (
    BIND_PHASE,
    BIND_TIME,
    POD_NODE,
    Phase,
    decode_shares,
    encode_shares,
)
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import Place, annotations_of, pending, places, plain_env

from .habits import Answer, Call, Desk, Grant, Habits, Handshake, Json, Release


def library(word: str, handshake: Handshake = Handshake.ALWAYS) -> Release:
    """A plugin built on HAMi's library of 2.10."""
    return Release(
        "2.10", json_register=True, keeps_empty=True, handshake=handshake, more_word=word, takes_success=True
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """The cards one Allocate call is for: ``index`` is its place as this release counts, ``rest`` the text after it."""

    shares: tuple[Share, ...]
    index: int
    rest: str


def waits(desk: Desk, pod: Json) -> bool:
    """Whether a scan takes this pod: Pending, bound here and marked as allocating."""
    annotations = annotations_of(pod)
    phases = {Phase.ALLOCATING, Phase.SUCCESS} if desk.release.takes_success else {Phase.ALLOCATING}
    return (
        pending(pod)
        and BIND_TIME in annotations
        and annotations.get(POD_NODE) == desk.node
        and annotations.get(BIND_PHASE) in phases
    )


def take_segment(key: str, text: str, release: Release) -> Segment | None:
    """The first segment with cards, and the text with that segment blanked; None when there is none.

    HAMi: 2.7 drops empty segments while it decodes, so the text shrinks; 2.9 keeps them and counts the empty text
    behind the last ``;`` as one more, so it grows by one ``;`` each time.

    Raises:
        ProtocolError: the text is malformed.
    """
    positions = list(decode_shares(key, text))
    positions = [*positions, ()] if release.keeps_empty else [shares for shares in positions if shares]
    for index, shares in enumerate(positions):
        if shares:
            positions[index] = ()
            return Segment(shares, index, encode_shares(positions))
    return None


def container_name(pod: Mapping[str, Any], index: int, release: Release) -> str:
    """The container the plugin believes to serve. HAMi: 2.7 counts what is left, so it is always the first one."""
    spec = pod["spec"]
    named = [*spec.get("initContainers", ()), *spec["containers"]] if release.keeps_empty else spec["containers"]
    return str(named[min(index, len(named) - 1)]["name"])


def more_follow(text: str, release: Release) -> bool:
    """Whether containers of the pod are still to be served (HAMi searches the text for a word)."""
    return release.more_word in text


def next_place(pod: Mapping[str, Any], habits: Habits) -> Place | None:
    """The container whose turn it is: as many segments are left to allocate as containers are still to be served.

    None when the annotations and the pod's containers do not belong together.
    """
    annotations = annotations_of(pod)
    try:
        granted = decode_shares(habits.allocated_key, annotations.get(habits.allocated_key, ""))
        left = decode_shares(habits.to_allocate_key, annotations.get(habits.to_allocate_key, ""))
    except ProtocolError:
        return None
    own = places(pod)
    if len(granted) == len(pod["spec"]["containers"]) < len(own):  # segments of app containers alone (HAMi 2.7)
        own = [place for place in own if place.kind is ContainerKind.APP]
    served = sum(1 for shares in granted if shares) - sum(1 for shares in left if shares)
    with_cards = [place for place, shares in zip(own, granted, strict=False) if shares]
    return with_cards[served] if 0 <= served < len(with_cards) else None


def serve(desk: Desk, pod: Json, call: Call) -> Answer:
    """Take the pod's next segment.

    Raises:
        AllocateFailed: there is none, it has another number of cards, or the lists and the containers don't match.
        ProtocolError: the list is malformed.
    """
    habits, release, key = desk.habits, desk.release, desk.habits.to_allocate_key
    segment = take_segment(key, annotations_of(pod).get(key, ""), release)
    if segment is None:
        raise AllocateFailed("device request not found")
    if len(segment.shares) != call.count:
        raise AllocateFailed(f"device number not matched: {len(segment.shares)} decided, {call.count} asked for")
    place = next_place(pod, habits)
    if place is None:
        raise AllocateFailed("the two device lists and the containers of the pod do not belong together")
    container = container_name(pod, segment.index, release)
    grant = Grant(segment.shares, pod["metadata"]["uid"], container, plain_env(pod, container))
    last = not more_follow(segment.rest, release)
    return Answer(place, segment.shares, habits.inject(grant), {key: segment.rest}, last=last)


class Keys(TypedDict):
    """The annotations of a family that ``Habits`` names."""

    register_key: str
    handshake_key: str
    to_allocate_key: str
    allocated_key: str


def keys(node_word: str, pod_word: str = "", register_key: str = "") -> Keys:
    """As most families call them: ``hami.io/node-amd-register``, ``hami.io/amd-devices-to-allocate``, and so on."""
    pod_word = pod_word or node_word
    return Keys(
        register_key=register_key or f"hami.io/node-{node_word}-register",
        handshake_key=f"hami.io/node-handshake-{node_word}",
        to_allocate_key=f"hami.io/{pod_word}-devices-to-allocate",
        allocated_key=f"hami.io/{pod_word}-devices-allocated",
    )


#: What plugins of this kind have in common.
habits = partial(Habits, serve=serve, waits=waits)
