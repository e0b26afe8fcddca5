"""The sum of many amounts of which few change between two readings, without ever adding to or taking from a sum.

The amounts lie in about as many parts as each part has amounts. A part in which something changed is counted anew, and
so is the sum of the parts: of n amounts a reading looks at about twice the square root of n.
"""

from __future__ import annotations

from collections.abc import Iterable

from .fit import NOTHING, Amounts


class Sums:
    """Amounts by name, and their sum."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Amounts]] = [{}]
        self._sums: list[Amounts | None] = [NOTHING]
        self._total: Amounts | None = NOTHING
        self._size = 0

    def put(self, name: str, amounts: Amounts) -> None:
        """One amount, new or changed."""
        place = self._place(name)
        part = self._parts[place]
        self._size += name not in part
        part[name] = amounts
        self._sums[place] = self._total = None
        if self._size > 4 * len(self._parts) ** 2:
            self._spread()

    def drop(self, name: str) -> None:
        """One amount less; nothing happens when there is none of that name."""
        place = self._place(name)
        if self._parts[place].pop(name, None) is not None:
            self._size -= 1
            self._sums[place] = self._total = None

    def total(self) -> Amounts:
        """The sum of all."""
        if self._total is None:
            for place, known in enumerate(self._sums):
                if known is None:
                    self._sums[place] = sum_of(self._parts[place].values())
            self._total = sum_of(part for part in self._sums if part is not None)
        return self._total

    def _place(self, name: str) -> int:
        return hash(name) % len(self._parts)

    def _spread(self) -> None:
        """Twice as many parts."""
        everything = [item for part in self._parts for item in part.items()]
        self._parts = [{} for _ in range(2 * len(self._parts))]
        self._sums = [None] * len(self._parts)
        for name, amounts in everything:
            self._parts[self._place(name)][name] = amounts


def sum_of(amounts: Iterable[Amounts]) -> Amounts:
    """The sum of these."""
    slots = memory = cores = 0
    for one, mib, part in amounts:
        slots += one
        memory += mib
        cores += part
    return Amounts(slots, memory, cores)
