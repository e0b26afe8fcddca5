"""Which cards each node has, per family. A text that can't be read empties no node: the last good list stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from . import protocol
from .errors import ProtocolError
from .journal import Journal
from .model import Device, Node
from .vendor import Profile, lock_keys


@dataclass(frozen=True, slots=True)
class NodeDevices:
    """A node and its cards per family. ``live`` are the families whose plugin is at work.

    ``cordoned`` are card uuids that get no new pods; ``broken`` tells per family what can't be read at present;
    ``cut``: some card can be given in parts.
    """

    node: Node
    devices: Mapping[str, tuple[Device, ...]] = field(default_factory=dict, hash=False)
    live: frozenset[str] = frozenset()
    cordoned: frozenset[str] = frozenset()
    broken: Mapping[str, str] = field(default_factory=dict, hash=False)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """What an observed node brought: whether a decision could see it, and by family what newly can't be read."""

    changed: bool
    problems: Mapping[str, str] = field(default_factory=dict, hash=False)


NO_NEWS = Update(changed=False)


class Inventory:
    """The nodes we know. Fed with observed nodes, read by decisions. ``revision`` grows when some cards change."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.journal = Journal()
        self._profiles = tuple(profiles)
        self._node_keys = tuple(sorted({key for profile in profiles for key in profile.node_keys}))
        self._lock_keys = frozenset(lock_keys(profiles))
        self._nodes: dict[str, NodeDevices] = {}
        self.revision = 0

    def update(self, node: Node) -> Update:
        """Take over an observed node."""
        known = self._nodes.get(node.name)
        if known is not None and self._tells(known.node) == self._tells(node):
            self._nodes[node.name] = replace(known, node=node)
            return NO_NEWS
        devices: dict[str, tuple[Device, ...]] = {}
        broken: dict[str, str] = {}
        for profile in self._profiles:
            try:
                found = profile.inventory(node)
            except ProtocolError as error:
                broken[profile.key] = str(error)
                found = known.devices.get(profile.key, ()) if known else ()
            if found:
                devices[profile.key] = found
        live = frozenset(profile.key for profile in self._profiles if profile.key in devices and _live(profile, node))
        cordoned = frozenset(protocol.split_list(node.annotations.get(protocol.DEVICE_CORDON, "")))
        cut = any(device.parts for found in devices.values() for device in found)
        entry = NodeDevices(node, devices, live, cordoned, broken, cut)
        self._nodes[node.name] = entry
        changed = known is None or not _same(known, entry) or self._read(known.node) != self._read(node)
        if known is None or known.devices != devices:
            self.revision += 1
        if changed:
            self.journal.note(node.name)
        before = known.broken if known else {}
        return Update(changed, {family: text for family, text in broken.items() if before.get(family) != text})

    def _tells(self, node: Node) -> tuple[object, ...]:
        """All that can be read from a node but its locks: those change with every pod that is bound there."""
        told = {key: text for key, text in node.annotations.items() if key not in self._lock_keys}
        return told, node.allocatable, node.capacity, *_state(node)

    def _read(self, node: Node) -> list[str | None]:
        """The annotations that families' hooks read."""
        return [node.annotations.get(key) for key in self._node_keys]

    def remove(self, name: str) -> bool:
        """Forget a node that is gone; False when it was not known."""
        if self._nodes.pop(name, None) is None:
            return False
        self.revision += 1
        self.journal.note(name)
        return True

    def get(self, name: str) -> NodeDevices | None:
        """The node of that name, or None."""
        return self._nodes.get(name)

    def __iter__(self) -> Iterator[NodeDevices]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)


def _live(profile: Profile, node: Node) -> bool:
    """Node ready and the resource allocatable; a node whose object has no allocatable at all says nothing."""
    if not node.ready:
        return False
    name = profile.live_name or profile.names.count
    return node.allocatable is None or node.allocatable.extended.get(name, 0) > 0


def _same(known: NodeDevices, entry: NodeDevices) -> bool:
    """Whether nothing changed that a decision looks at (heartbeats and lock annotations change all the time)."""
    a, b = known.node, entry.node
    cards = (known.devices, known.live, known.cordoned) == (entry.devices, entry.live, entry.cordoned)
    return cards and a.allocatable == b.allocatable and _state(a) == _state(b)


def _state(node: Node) -> tuple[object, ...]:
    return node.labels, node.taints, node.unschedulable, node.ready, node.uid
