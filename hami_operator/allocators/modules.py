"""Cards that are two dies of one module: whole modules first, a single die from a module that is broken already.

HAMi v2.10.0 pkg/device/ascend/device.go pairs dies of Ascend 910C by index / 2 and takes modules at random.
"""

from __future__ import annotations

from collections.abc import Sequence

from hami_operator.core.vendor import CardState, Chooser


def modules(size: int) -> Chooser:
    """A chooser over modules of ``size`` cards, which are those of equal ``index // size``.

    Whole modules come in the order of their first candidate; the cards that are left over come from the module with
    the fewest candidates. None when whole modules don't suffice.
    """

    def choose(candidates: Sequence[CardState], count: int) -> list[CardState] | None:
        groups: dict[int, list[CardState]] = {}
        for state in candidates:
            groups.setdefault(state.device.index // size, []).append(state)
        whole, rest = divmod(count, size)
        intact = [group for group in groups.values() if len(group) == size]
        if len(intact) < whole:
            return None
        taken, spare = intact[:whole], intact[whole:]
        broken = [group for group in groups.values() if rest <= len(group) < size]
        if rest and not broken and not spare:
            return None
        last = min(broken or spare, key=len)[:rest] if rest else []
        return [state for group in (*taken, last) for state in group]

    return choose
