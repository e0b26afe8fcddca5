"""Faults of a node's plugin, as a value that travels to the process that plays it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from .errors import BadSpec


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a node's plugin right now.

    ``slow_s``: every Allocate waits so many seconds first. ``failing``: how many of the next Allocate calls fail after
    their pod was found (-1: all of them). ``unhealthy``: indexes of cards that are ill. ``dead``: the plugin is gone
    (simulated nodes; on a hollow node its process is ended instead).
    """

    slow_s: float = 0.0
    failing: int = 0
    unhealthy: frozenset[int] = field(default_factory=frozenset)
    dead: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON for the control endpoint."""
        return {**asdict(self), "unhealthy": sorted(self.unhealthy)}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """Read what ``to_json`` wrote. Raises BadSpec, naming the field, for anything else."""
        try:
            return cls(
                slow_s=float(body.get("slow_s", 0.0)),
                failing=int(body.get("failing", 0)),
                unhealthy=frozenset(int(index) for index in body.get("unhealthy", ())),
                dead=bool(body.get("dead", False)),
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise BadSpec(f"faults {body!r}: {error}; allowed are slow_s, failing, unhealthy, dead") from None

    def with_card(self, index: int, *, healthy: bool) -> Self:
        """The same with one card made ill or well."""
        return replace(self, unhealthy=self.unhealthy - {index} if healthy else self.unhealthy | {index})
