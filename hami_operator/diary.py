"""The last decision about each pod, so that it can be shown. Bounded: what is oldest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Pods whose last decision is remembered.
PODS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision. ``at`` is unix seconds; ``node`` is empty where nothing fits; ``reasons`` counts nodes by reason.

    ``fitting`` of ``nodes`` nodes could take the pod; ``tries`` is how often it has been decided.
    """

    at: float
    node: str
    message: str
    fitting: int
    nodes: int
    reasons: Mapping[str, int] = field(default_factory=dict, hash=False)
    tries: int = 1


class Diary:
    """The last decisions by uid of pod."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, Decided] = OrderedDict()

    def tries(self, uid: str) -> int:
        """How often the pod has been decided, as far as we remember."""
        last = self._last.get(uid)
        return 0 if last is None else last.tries

    def note(self, uid: str, decided: Decided) -> None:
        """Take over a decision in the place of the last one."""
        self._last[uid] = decided
        self._last.move_to_end(uid)
        if len(self._last) > PODS_KEPT:
            self._last.popitem(last=False)

    def forget(self, uid: str) -> None:
        """What was decided holds no more, and somebody else decides."""
        self._last.pop(uid, None)

    def last(self, uid: str) -> Decided | None:
        """The last decision about a pod; None when it is not remembered."""
        return self._last.get(uid)
