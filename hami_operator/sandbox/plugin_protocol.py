"""The device plugin's half of HAMi's protocol, as pure functions: both kinds of nodes do it through these.

Sources: HAMi v2.7.0 pkg/device/devices.go, pkg/util/util.go, pkg/device-plugin/nvidiadevice/nvinternal/plugin.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import ContainerKind, Device, Share
from hami_operator.core.protocol import (
    BIND_PHASE,
    BIND_TIME,
    NODE_LOCK,
    POD_NODE,
    Phase,
    decode_shares,
    encode_devices_json,
    encode_devices_text,
    encode_shares,
    parse_lock,
)

from .plugins import Habits, Release
from .plugins.habits import Handshake

Json = dict[str, Any]


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of an API object, absent ones as an empty dictionary."""
    return obj.get("metadata", {}).get("annotations") or {}


def registration(habits: Habits, release: Release, cards: Sequence[Device], before: str | None, now: float) -> Json:
    """The node annotations of one registration. ``before`` is the register text as it stands, ``now`` unix seconds."""
    text = encode_devices_json(cards, habits.family) if release.json_register else encode_devices_text(cards)
    changed = text != before
    if not changed and release.json_register:
        return {}
    written: Json = {habits.register_key: text}
    if release.handshake is Handshake.ALWAYS or (release.handshake is Handshake.ON_CHANGE and changed):
        written[habits.handshake_key] = handshake(now)
    return written


def handshake(now: float) -> str:
    """``Reported 2025-10-09 08:53:20.1 +0000 UTC m=+1``: the word and Go's default text of a time."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return f"Reported {moment:%Y-%m-%d %H:%M:%S.%f} +0000 UTC"


def lock_holder(node: Mapping[str, Any]) -> tuple[str, str] | None:
    """(namespace, name) of the pod the node lock names; None without a lock, or with one that names nobody."""
    text = annotations_of(node).get(NODE_LOCK)
    if text is None:
        return None
    try:
        lock = parse_lock(text)
    except ProtocolError:
        return None
    return (lock.namespace, lock.name) if lock.name else None


def pending_pod(pods: Iterable[Json], node: str, release: Release) -> Json | None:
    """The pod to serve when no lock names one: the first that is Pending, bound here and marked as allocating."""
    phases = {Phase.ALLOCATING, Phase.SUCCESS} if release.takes_success else {Phase.ALLOCATING}
    for pod in pods:
        annotations = annotations_of(pod)
        if (
            pod.get("status", {}).get("phase") == "Pending"
            and BIND_TIME in annotations
            and annotations.get(POD_NODE) == node
            and annotations.get(BIND_PHASE) in phases
        ):
            return pod
    return None


@dataclass(frozen=True, slots=True)
class Segment:
    """The cards one Allocate call is for: ``index`` is its place as this release counts, ``rest`` the text after it."""

    shares: tuple[Share, ...]
    index: int
    rest: str


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


@dataclass(frozen=True, slots=True)
class Place:
    """A container's true position in a pod: what the checker goes by."""

    position: int
    container: str
    kind: ContainerKind


def places(pod: Mapping[str, Any]) -> list[Place]:
    """All containers of a pod in the order the kubelet serves them: init containers first."""
    found = []
    for container in pod["spec"].get("initContainers", ()):
        kind = ContainerKind.SIDECAR if container.get("restartPolicy") == "Always" else ContainerKind.INIT
        found.append((container["name"], kind))
    found += [(container["name"], ContainerKind.APP) for container in pod["spec"]["containers"]]
    return [Place(position, name, kind) for position, (name, kind) in enumerate(found)]


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


def init_done(pod: Mapping[str, Any]) -> bool:
    """Whether every plain init container has ended."""
    wanted = {place.container for place in places(pod) if place.kind is ContainerKind.INIT}
    ended = {
        status["name"]
        for status in pod.get("status", {}).get("initContainerStatuses", ())
        if "terminated" in status.get("state", {})
    }
    return wanted <= ended


def alive(pod: Mapping[str, Any]) -> bool:
    """Whether a pod may still run containers: not Succeeded, not Failed."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
