"""A failing device plugin must not burn pods: after a failure its node and family are left alone for a while.

10 seconds first, doubled with each further failure up to 5 minutes; a success or a new registration ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 300.0

#: (node, family)
Place = tuple[str, str]


@dataclass(slots=True)
class _Trouble:
    failures: int
    last: float
    until: float


class Failing:
    """Which families of which nodes are not to be used, and until when (unix seconds)."""

    def __init__(self) -> None:
        self._troubles: dict[Place, _Trouble] = {}
        self._counted: dict[str, set[Place]] = {}

    def failed(self, place: Place, uid: str, now: float) -> float | None:
        """A pod's allocation failed there. Returns until when it is left alone; None when that pod was counted."""
        counted = self._counted.setdefault(uid, set())
        if place in counted:
            return None
        counted.add(place)
        known = self._troubles.get(place)
        failures = known.failures + 1 if known else 1
        pause: float = min(FIRST_SECONDS * 2 ** (failures - 1), LONGEST_SECONDS)
        self._troubles[place] = _Trouble(failures, now, now + pause)
        return now + pause

    def ended(self, place: Place, since: float) -> bool:
        """A pod that was bound at ``since`` got its cards there, or the plugin registered anew at that time.

        True when that ends a trouble; a success from before the last failure proves nothing.
        """
        trouble = self._troubles.get(place)
        if trouble is None or since < trouble.last:
            return False
        del self._troubles[place]
        return True

    def forget_pod(self, uid: str) -> None:
        """The pod is gone: it needs not be remembered as counted."""
        self._counted.pop(uid, None)

    def forget_node(self, node: str) -> None:
        """The node is gone: another one of its name has plugins of its own."""
        self._troubles = {place: trouble for place, trouble in self._troubles.items() if place[0] != node}

    def active(self, place: Place, now: float) -> bool:
        """Whether the place is left alone now."""
        trouble = self._troubles.get(place)
        return trouble is not None and trouble.until > now

    def due(self, now: float) -> list[Place]:
        """Places that may be tried again since they were last asked for; their failures are still remembered."""
        places = [place for place, trouble in self._troubles.items() if 0.0 < trouble.until <= now]
        for place in places:
            self._troubles[place].until = 0.0
        return places

    def next_due(self) -> float | None:
        """When the next place may be tried again; None when none is left alone."""
        return min((t.until for t in self._troubles.values() if t.until > 0.0), default=None)
