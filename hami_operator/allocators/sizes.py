"""Partitions of fixed sizes: what their names say, and the smallest that has what is asked.

HAMi v2.10.0 pkg/device/enflame/device.go (profiles ``3g.20gb``: slices of compute, and GiB).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hami_operator.core.model import DeviceRequest

GIB_MIB = 1024
#: Compute of a whole card, in percent.
WHOLE = 100
#: Beyond so many slices a percentage of compute does not tell how many they are.
MOST_SLICES = 50


class Partition(NamedTuple):
    """A size of partition, ``3g.20gb``: slices and GiB, and the id that the plugin knows it by."""

    slices: int
    gib: int
    name: str
    number: str = ""


def partition(name: str, number: str = "") -> Partition | None:
    """The partition of this name; None where the name is none."""
    match = re.fullmatch(r"([1-9]\d?)g\.([1-9]\d{0,4})gb", name)
    if match is None or int(match[1]) > MOST_SLICES:
        return None
    return Partition(int(match[1]), int(match[2]), name, number)


def percent(part: Partition, partitions: Iterable[Partition]) -> int:
    """The compute of a partition beside the others, in percent of the largest, rounded down."""
    return WHOLE * part.slices // max(other.slices for other in partitions)


def smallest(partitions: Sequence[Partition], request: DeviceRequest) -> Partition | None:
    """The smallest partition with the memory and the compute that are asked; without either, that of so many slices.

    Memory is in GiB, or in MiB where it is more than twice what the largest has. HAMi grants compute rounded up.
    """
    if request.memory_mib is None and request.cores is None:
        return next((each for each in partitions if each.slices == request.slices), None)
    memory, cores = request.memory_mib or 0, request.cores or 0
    most = max(each.slices for each in partitions)
    gib = -(-memory // GIB_MIB) if memory > 2 * max(each.gib for each in partitions) else memory
    fitting = (each for each in partitions if each.gib >= gib and -(-WHOLE * each.slices // most) >= cores)
    return min(fitting, default=None)
