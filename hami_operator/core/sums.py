"""The sum of many amounts of which few change at a time, without ever adding to or taking from a sum.

The amounts lie in about as many parts as each part has amounts. A part in which something changed is counted anew, and
so is the sum of the parts: of n amounts a change looks at about twice the square root of n.
"""

from __future__ import annotations

from collections.abc import Iterable

from .fit import NOTHING, Amounts


class Sums:
    """Amounts by name; ``total`` is their sum.

    The sums of the parts lie side by side, one row for each of shares, MiB and cores.
    """

    __slots__ = ("_parts", "_rows", "_size", "total")

    def __init__(self) -> None:
        self.total = NOTHING
        self._parts: list[dict[str, Amounts]] = [{}]
        self._rows = ([0], [0], [0])
        self._size = 0

    def put(self, name: str, amounts: Amounts) -> None:
        """One amount, new or changed."""
        place = hash(name) % len(self._parts)
        part = self._parts[place]
        self._size += name not in part
        part[name] = amounts
        if self._size > len(self._parts) ** 2:
            self._spread()
        else:
            self._recount(place)

    def drop(self, name: str) -> None:
        """One amount less; nothing happens when there is none of that name."""
        place = hash(name) % len(self._parts)
        if self._parts[place].pop(name, None) is not None:
            self._size -= 1
            self._recount(place)

    def _recount(self, *places: int) -> None:
        slots, memory, cores = self._rows
        for place in places:
            slots[place], memory[place], cores[place] = sum_of(self._parts[place].values())
        self.total = Amounts(sum(slots), sum(memory), sum(cores))

    def _spread(self) -> None:
        """Twice as many parts."""
        everything = [item for part in self._parts for item in part.items()]
        count = 2 * len(self._parts)
        self._parts = [{} for _ in range(count)]
        self._rows = ([0] * count, [0] * count, [0] * count)
        for name, amounts in everything:
            self._parts[hash(name) % count][name] = amounts
        self._recount(*range(count))


def sum_of(amounts: Iterable[Amounts]) -> Amounts:
    """The sum of these."""
    slots = memory = cores = 0
    for one, mib, part in amounts:
        slots += one
        memory += mib
        cores += part
    return Amounts(slots, memory, cores)
