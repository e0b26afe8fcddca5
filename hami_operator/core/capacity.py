"""Cards of families whose plugin lists none: they are counted from the amounts that the node reports.

HAMi v2.7.0 pkg/device/{cambricon,iluvatar,mthreads}/device.go GetNodeDevices. Capacity gives the positions, which the
vendors' plugins know cards by; what of it is broken is kept back by the amounts that are allocatable (``node_fit``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .errors import ProtocolError
from .model import Device, Node

if TYPE_CHECKING:
    from .vendor import Profile

#: More cards than any node has: a larger amount is a mistake.
MOST_CARDS = 1024


@dataclass(frozen=True, slots=True)
class SplitCards:
    """How a node's total cores and memory become cards, by the names and the unit of the family's profile.

    ``word`` stands in the card's id, ``<node>-<word>-<position>``; ``cores`` is what one card has, ``slots`` how many
    may share it.
    """

    word: str
    cores: int
    slots: int = 100

    def devices(self, profile: Profile, node: Node) -> tuple[Device, ...]:
        """As many cards as hold the cores, all with the same part of the memory; none without cores.

        Raises:
            ProtocolError: the amount of cores is more than ``MOST_CARDS`` cards have.
        """
        names, cores = profile.names, reported(node, profile.names.cores)
        if cores <= 0:
            return ()
        count = -(-cores // self.cores)
        if count > MOST_CARDS:
            raise ProtocolError(names.cores, 0, f"{cores} are {count} cards, allowed are {MOST_CARDS}")
        memory = reported(node, names.memory) * profile.memory_unit_mib * self.cores // cores
        return tuple(
            Device(f"{node.name}-{self.word}-{index}", index, self.slots, memory, self.cores, profile.key)
            for index in range(count)
        )


@dataclass(frozen=True, slots=True)
class CountedCards:
    """Whole cards, one for each of the family's count, ``<node>-<word>-<position>``, otherwise ``like`` this one."""

    word: str
    like: Device

    def devices(self, profile: Profile, node: Node) -> tuple[Device, ...]:
        """What is not allocatable any more is broken: as many from the end are unhealthy.

        Raises:
            ProtocolError: there are more than ``MOST_CARDS``.
        """
        name = profile.names.count
        count = reported(node, name)
        if count > MOST_CARDS:
            raise ProtocolError(name, 0, f"{count} cards, allowed are {MOST_CARDS}")
        working = count if node.allocatable is None else node.allocatable.extended.get(name, 0)
        return tuple(
            replace(self.like, uuid=f"{node.name}-{self.word}-{index}", index=index, healthy=index < working)
            for index in range(count)
        )


def reported(node: Node, name: str) -> int:
    """The capacity of a resource, or what is allocatable of it where the object has no capacity; 0 without both."""
    capacity = node.capacity.extended.get(name)
    if capacity is None and node.allocatable is not None:
        return node.allocatable.extended.get(name, 0)
    return capacity or 0
