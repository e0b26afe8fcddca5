"""The text form of metrics, and what of a node the series are made from.

Cards and shares are a hundred thousand series in a big cluster. They are kept as text per node, and only the text of
nodes that changed is written anew: a scrape costs a concatenation, and takes no time from decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hami_operator.core.inventory import NodeDevices
from hami_operator.core.ledger import NodeUsage
from hami_operator.core.model import Device, Share
from hami_operator.core.vendor import NOTHING, Amounts, Profile

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
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
    return 'zone="vGPU",' + ",".join(f'{name}="{_escape(str(value))}"' for name, value in labels)


def _escape(text: str) -> str:
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


def shares_of(entry: NodeDevices, usage: NodeUsage, profiles: Sequence[Profile]) -> Iterator[ShareSeries]:
    """What the containers of the node's pods hold, by container and card."""
    by_key = {profile.key: profile for profile in profiles}
    for record in usage.pods.values():
        held: dict[tuple[str, int, str], list[Share]] = {}
        for family, position, share in record.allocation.shares():
            held.setdefault((family, position, share.card), []).append(share)
        for (family, position, card), shares in held.items():
            profile = by_key.get(family)
            if profile is not None:
                device = _device(entry, family, card)
                memory = sum(share.memory_mib for share in shares)
                cores = sum(share.cores.bit_count() if profile.core_masks else share.cores for share in shares)
                amounts = Amounts(len(shares), memory, cores)
                percent = CardSeries(record.node, family, device, amounts, in_own_units(profile)).core_percent
                key = record.key
                yield ShareSeries(
                    key.namespace, key.name, record.node, position, card, memory, cores, percent, device.memory_mib
                )


def _device(entry: NodeDevices, family: str, card: str) -> Device:
    """The card, or one without any amounts where the node does not register it any more."""
    for device in entry.devices.get(family, ()):
        if device.uuid == card:
            return device
    return Device(card, 0, 0, 0, 0, "")


def lines_of(groups: Mapping[Gauge, Sequence[str]], gauges: Sequence[Gauge]) -> tuple[bytes, ...]:
    """The series of one node as a text per metric, in the order of ``gauges``, ready to be sent."""
    return tuple("".join(groups.get(gauge, ())).encode() for gauge in gauges)
