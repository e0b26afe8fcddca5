"""Since when: what no single object tells, because it is about how objects changed while we watched.

Fed with nodes and pods as they come; read by the page. It never says more than it saw: what was so from the start has
no time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.vendor import Profile

from .instances import Instance, Part, read_instances

#: Seconds after which a handshake that used to change is called stale (design: silent plugins).
STALE_SECONDS = 120.0


@dataclass(slots=True)
class _Handshake:
    value: str
    changes: int = 0
    at: float = 0.0


@dataclass(slots=True)
class _NodeStory:
    """``health``: card -> (healthy, since when; None from the start)."""

    health: dict[str, tuple[bool, float | None]] = field(default_factory=dict)
    handshakes: dict[str, _Handshake] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodStory:
    """What a pod's annotations say of its allocation. ``since`` is unix seconds, 0 where it does not say.

    ``containers`` are names by wire position: init containers first.
    """

    phase: str
    since: float
    containers: tuple[str, ...]


class History:
    """The changes of nodes and pods that the page shows."""

    def __init__(self) -> None:
        self._nodes: dict[str, _NodeStory] = {}
        self._pods: dict[str, PodStory] = {}
        self._instances: dict[str, dict[Part, Instance]] = {}
        self._heard: dict[str, float] = {}

    # -- news ----------------------------------------------------------------------------------------------------

    def heard(self, resource: str, now: float) -> None:
        """Something came of a resource that we watch."""
        self._heard[resource] = now

    def node_seen(self, entry: NodeDevices, profiles: Sequence[Profile], now: float) -> None:
        """A node as the inventory has it by now."""
        story = self._nodes.setdefault(entry.node.name, _NodeStory())
        self._health(story, entry, now)
        for profile in profiles:
            value = entry.node.annotations.get(profile.handshake_key) if profile.handshake_key else None
            if value is None:
                story.handshakes.pop(profile.key, None)
                continue
            known = story.handshakes.get(profile.key)
            if known is None:
                story.handshakes[profile.key] = _Handshake(value, 0, now)
            elif known.value != value:
                known.value, known.changes, known.at = value, known.changes + 1, now

    @staticmethod
    def _health(story: _NodeStory, entry: NodeDevices, now: float) -> None:
        first = not story.health
        before, story.health = story.health, {}
        for devices in entry.devices.values():
            for device in devices:
                known = before.get(device.uuid)
                if known is None or known[0] != device.healthy:
                    known = (device.healthy, None if first else now)
                story.health[device.uuid] = known

    def node_gone(self, name: str) -> None:
        """A node went."""
        self._nodes.pop(name, None)

    def pod_seen(self, obj: Mapping[str, Any], *, gone: bool) -> None:
        """A Pod object was added, changed, listed or (``gone``) deleted."""
        metadata = obj["metadata"]
        annotations = metadata.get("annotations") or {}
        self._note_instances(metadata.get("uid", ""), {} if gone else annotations)
        phase = annotations.get(protocol.BIND_PHASE)
        if gone or not isinstance(phase, str):
            self._pods.pop(metadata.get("uid", ""), None)
            return
        since = annotations.get(protocol.BIND_TIME, "")
        spec = obj.get("spec") or {}
        containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        names = tuple(str(container.get("name", "")) for container in containers)
        at = float(since) if since.isdecimal() and len(since) < 12 else 0.0
        self._pods[metadata["uid"]] = PodStory(phase, at, names)

    def _note_instances(self, uid: str, annotations: Mapping[str, str]) -> None:
        found = read_instances(annotations)
        if found:
            self._instances[uid] = found
        else:
            self._instances.pop(uid, None)

    # -- reading -------------------------------------------------------------------------------------------------

    def last_heard(self) -> Mapping[str, float]:
        """When something last came, in unix seconds, by resource."""
        return self._heard

    def unhealthy_since(self, node: str, card: str) -> float | None:
        """Since when the card is unhealthy; None when it is healthy, or was unhealthy when we began to watch."""
        story = self._nodes.get(node)
        healthy, since = story.health.get(card, (True, None)) if story is not None else (True, None)
        return None if healthy else since

    def stale(self, now: float) -> Iterator[tuple[str, str, float]]:
        """Handshakes that used to change and stand still: (node, family, since when)."""
        for name, story in self._nodes.items():
            for family, handshake in story.handshakes.items():
                if handshake.changes and now - handshake.at >= STALE_SECONDS:
                    yield name, family, handshake.at

    def stale_since(self, node: str, family: str, now: float) -> float | None:
        """Since when the family's handshake on this node stands still though it used to change; None: it does not."""
        story = self._nodes.get(node)
        handshake = story.handshakes.get(family) if story is not None else None
        if handshake is None or not handshake.changes or now - handshake.at < STALE_SECONDS:
            return None
        return handshake.at

    def pod(self, uid: str) -> PodStory | None:
        """What the pod's annotations said last."""
        return self._pods.get(uid)

    def instances(self) -> Mapping[Part, Instance]:
        """The MIG instances of all pods that the plugins have told of."""
        return {part: instance for found in self._instances.values() for part, instance in found.items()}
