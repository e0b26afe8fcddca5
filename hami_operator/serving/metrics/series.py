"""The text form of metrics, and what of a node the series are made from.

Cards and shares are a hundred thousand series in a big cluster. They are kept as text per node, and only the text of
nodes that changed is written anew: a scrape costs a concatenation, and takes no time from decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Device
from hami_operator.core.record import NodeUsage, PodRecord
from hami_operator.core.vendor import NOTHING, Amounts, Profile

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Gauge:
    """A metric's name and what it is."""

    name: str
    help: str

    def header(self) -> str:
        """The two lines before its series."""
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} gauge\n"

    def line(self, labels: str, value: float) -> str:
        """A series; ``labels`` as ``labels_text`` makes them."""
        return f"{self.name}{{{labels}}} {value}\n"


def labels_text(labels: Iterable[tuple[str, object]]) -> str:
    """``zone="vGPU",node="n1"``: HAMi gives all its series the zone."""
    return 'zone="vGPU",' + ",".join(f'{name}="{escape(str(value))}"' for name, value in labels)


def escape(text: str) -> str:
    """A label's value as the text form has it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@dataclass(frozen=True, slots=True)
class CardSeries:
    """A card as series show it. ``own_units``: the family counts cores in its own unit, not in percent of a card."""

    node: str
    family: str
    device: Device
    used: Amounts
    own_units: bool

    @property
    def core_percent(self) -> int:
        """The cores in use in percent of the card, rounded up; percent points where those are the family's unit."""
        if not self.own_units:
            return self.used.cores
        return -(-self.used.cores * 100 // self.device.cores) if self.device.cores else 0


@dataclass(frozen=True, slots=True)
class ShareSeries:
    """What a container holds of a card: its shares there together. ``position`` is the container's on the wire."""

    namespace: str
    pod: str
    node: str
    position: int
    card: str
    memory_mib: int
    cores: int
    core_percent: int
    card_memory_mib: int


def cards_of(entry: NodeDevices, usage: NodeUsage, profiles: Sequence[Profile]) -> Iterator[CardSeries]:
    """The node's cards, each once."""
    seen: set[tuple[str, int, str]] = set()
    for profile in profiles:
        used = usage.cards.get(profile.key, {})
        for device in entry.devices.get(profile.key, ()):
            identity = (device.uuid, device.index, device.type)
            if identity not in seen:
                seen.add(identity)
                held = used.get(device.uuid, NOTHING)
                yield CardSeries(entry.node.name, profile.key, device, held, in_own_units(profile))


def in_own_units(profile: Profile) -> bool:
    """Whether the family's cores are something else than percent points."""
    return profile.core_masks or profile.core_max > 100


def shares_of(entry: NodeDevices, record: PodRecord, profiles: Mapping[str, Profile]) -> Iterator[ShareSeries]:
    """What the containers of one pod hold of the node, by container and card. ``profiles`` are by key."""
    held: dict[tuple[str, int, str], tuple[int, int]] = {}
    for family, position, share in record.allocation.shares():
        profile = profiles.get(family)
        if profile is not None:
            cores = share.cores.bit_count() if profile.core_masks else share.cores
            memory, before = held.get((family, position, share.card), (0, 0))
            held[family, position, share.card] = (memory + share.memory_mib, before + cores)
    key = record.key
    for (family, position, card), (memory, cores) in held.items():
        device, percent = _device(entry, family, card), cores
        if in_own_units(profiles[family]):
            percent = -(-cores * 100 // device.cores) if device.cores else 0
        yield ShareSeries(
            key.namespace, key.name, record.node, position, card, memory, cores, percent, device.memory_mib
        )


def _device(entry: NodeDevices, family: str, card: str) -> Device:
    """The card, or one without any amounts where the node does not register it any more."""
    for device in entry.devices.get(family, ()):
        if device.uuid == card:
            return device
    return Device(card, 0, 0, 0, 0, "")


Lines = Iterable[tuple[Gauge, str]]
Kept = tuple[tuple[Gauge, str], ...]


@dataclass(frozen=True, slots=True)
class NodeText:
    """A node's series, a text per metric; lines are kept for as long as what they are made from is the same.

    ``cards`` are by (family, uuid), ``pods`` by uid; ``devices`` is what the shares' lines were made with.
    """

    texts: tuple[bytes, ...]
    devices: Mapping[str, tuple[Device, ...]]
    cards: Mapping[tuple[str, str], tuple[CardSeries, Kept]]
    pods: Mapping[str, tuple[PodRecord, Kept]]


@dataclass(frozen=True, slots=True)
class Writer:
    """How the metrics of a generation are written: those of a card, and those of a share."""

    gauges: Sequence[Gauge]
    card: Callable[[CardSeries, NodeUsage], Lines]
    share: Callable[[ShareSeries], Lines]

    def node(self, cluster: Cluster, entry: NodeDevices, usage: NodeUsage, before: NodeText | None) -> NodeText:
        """The node's series; what has not changed since its last text is taken from there."""
        same = before if before is not None and before.devices == entry.devices else None
        cards, pods = self._cards(cluster, entry, usage, same), self._pods(cluster, entry, usage, same)
        groups: dict[Gauge, list[str]] = {gauge: [] for gauge in self.gauges}
        for _, lines in (*cards.values(), *pods.values()):
            for gauge, line in lines:
                groups[gauge].append(line)
        return NodeText(tuple("".join(group).encode() for group in groups.values()), entry.devices, cards, pods)

    def _cards(
        self, cluster: Cluster, entry: NodeDevices, usage: NodeUsage, before: NodeText | None
    ) -> dict[tuple[str, str], tuple[CardSeries, Kept]]:
        found = {}
        for card in cards_of(entry, usage, cluster.profiles):
            key = (card.family, card.device.uuid)
            known = before.cards.get(key) if before is not None else None
            if known is None or known[0].used != card.used or card.device.parts:  # who has which part is not in used
                known = (card, tuple(self.card(card, usage)))
            found[key] = known
        return found

    def _pods(
        self, cluster: Cluster, entry: NodeDevices, usage: NodeUsage, before: NodeText | None
    ) -> dict[str, tuple[PodRecord, Kept]]:
        profiles, found = {profile.key: profile for profile in cluster.profiles}, {}
        for uid, record in usage.pods.items():
            known = before.pods.get(uid) if before is not None else None
            if known is None or known[0] is not record:
                shares = shares_of(entry, record, profiles)
                known = (record, tuple(line for share in shares for line in self.share(share)))
            found[uid] = known
        return found
