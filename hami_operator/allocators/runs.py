"""Runs: neighbours in a row, as devices on a ring or torus and cores of a device need them. No run wraps around.

HAMi v2.7.0 pkg/device/awsneuron/device.go graphSelect; positions are indexes here, never places in a sorted list.
"""

from __future__ import annotations

from collections.abc import Collection


def first_run(free: Collection[int], count: int) -> range | None:
    """The lowest ``count`` positions in a row that are all free."""
    starts = (start for start in sorted(free) if all(place in free for place in range(start, start + count)))
    start = next(starts, None)
    return None if start is None else range(start, start + count)


def aligned_run(free: Collection[int], count: int) -> range | None:
    """The lowest free run that begins at a multiple of its own length."""
    for start in sorted(place for place in free if place % count == 0):
        if all(place in free for place in range(start, start + count)):
            return range(start, start + count)
    return None
