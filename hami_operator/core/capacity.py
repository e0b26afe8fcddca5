"""Cards of families whose plugin lists none: they are counted from the amounts that the node reports.

HAMi v2.7.0 pkg/device/{cambricon,iluvatar,mthreads}/device.go GetNodeDevices. Capacity gives the positions, which the
vendors' plugins know cards by; what of it is broken is kept back by the amounts that are allocatable (``node_fit``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import ProtocolError
from .model import Device, Node

#: More cards than any node has: a larger amount is a mistake.
MOST_CARDS = 1024


@dataclass(frozen=True, slots=True)
class SplitCards:
    """How a node's total cores and memory become cards.

    ``word`` stands in the card's id, ``<node>-<word>-<position>``; ``cores`` is what one card has; ``memory_unit_mib``
    is the size of one memory amount; ``slots`` how many may share a card.
    """

    word: str
    core_name: str
    cores: int
    memory_name: str
    memory_unit_mib: int
    slots: int = 100

    def devices(self, node: Node, kind: str) -> tuple[Device, ...]:
        """As many cards as hold the cores, all with the same part of the memory; none without cores.

        Raises:
            ProtocolError: the amount of cores is more than ``MOST_CARDS`` cards have.
        """
        cores = reported(node, self.core_name)
        if cores <= 0:
            return ()
        count = -(-cores // self.cores)
        if count > MOST_CARDS:
            raise ProtocolError(self.core_name, 0, f"{cores} are {count} cards, allowed are {MOST_CARDS}")
        memory = reported(node, self.memory_name) * self.memory_unit_mib * self.cores // cores
        return tuple(
            Device(f"{node.name}-{self.word}-{index}", index, self.slots, memory, self.cores, kind)
            for index in range(count)
        )


def counted_devices(node: Node, word: str, name: str, like: Device) -> tuple[Device, ...]:
    """One card for each of the resource, ``<node>-<word>-<position>``, alike but for their index.

    What is not allocatable any more is broken: as many from the end are unhealthy.

    Raises:
        ProtocolError: there are more than ``MOST_CARDS``.
    """
    count = reported(node, name)
    if count > MOST_CARDS:
        raise ProtocolError(name, 0, f"{count} cards, allowed are {MOST_CARDS}")
    working = count if node.allocatable is None else node.allocatable.extended.get(name, 0)
    return tuple(
        replace(like, uuid=f"{node.name}-{word}-{index}", index=index, healthy=index < working)
        for index in range(count)
    )


def reported(node: Node, name: str) -> int:
    """The capacity of a resource, or what is allocatable of it where the object has no capacity; 0 without both."""
    capacity = node.capacity.extended.get(name)
    if capacity is None and node.allocatable is not None:
        return node.allocatable.extended.get(name, 0)
    return capacity or 0
