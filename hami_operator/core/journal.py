"""Which nodes changed, in order: so that a decision looks again only at those."""

from __future__ import annotations

#: Names kept before the oldest half is dropped; who asks for older ones looks at every node again.
LONGEST = 100_000


class Journal:
    """An append-only list of node names. A position is the number of names written so far."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._dropped = 0

    @property
    def position(self) -> int:
        """The position behind the newest name."""
        return self._dropped + len(self._names)

    def note(self, node: str) -> None:
        """Something of this node changed that a decision could see."""
        self._names.append(node)
        if len(self._names) > LONGEST:
            self._names = self._names[LONGEST // 2 :]
            self._dropped += LONGEST // 2

    def since(self, position: int) -> set[str] | None:
        """Names written since that position; None when they are not all kept any more."""
        if position < self._dropped:
            return None
        return set(self._names[position - self._dropped :])
