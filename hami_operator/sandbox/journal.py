"""What the plugins of a sandbox did, as lines of JSON: verdict and a restarted plugin's books are read from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hami_operator.core.model import ContainerKind, Share

from .checker import Claim

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one process; several nodes may share it. Lines are only ever appended."""

    path: Path

    def allocated(self, node: str, claim: Claim) -> None:
        """A container was given cards, and nothing was wrong with that."""
        shares = [[s.uuid, s.kind, s.memory_mib, s.cores] for s in claim.shares]
        self._append(
            {
                "event": "allocated",
                "node": node,
                "pod": claim.pod,
                "uid": claim.uid,
                "position": claim.position,
                "container": claim.container,
                "kind": claim.kind.value,
                "shares": shares,
                "note": claim.note,
            }
        )

    def violated(self, node: str, text: str) -> None:
        """An allocation named cards or amounts that the node does not have."""
        self._append({"event": "violated", "node": node, "text": text})

    def failed(self, node: str, text: str) -> None:
        """An Allocate call was refused for a reason that is no over-allocation."""
        self._append({"event": "failed", "node": node, "text": text})

    def _append(self, record: Json) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")

    def records(self) -> Iterator[Json]:
        """All lines so far; one that is not finished (its writer was killed) is left out."""
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)

    def claims(self, node: str) -> Iterator[Claim]:
        """What was given out on a node, in order."""
        for record in self.records():
            if record["node"] == node and record["event"] == "allocated":
                yield Claim(
                    pod=record["pod"],
                    uid=record["uid"],
                    position=record["position"],
                    container=record["container"],
                    kind=ContainerKind(record["kind"]),
                    shares=tuple(Share(*share) for share in record["shares"]),
                    note=record["note"],
                )


@dataclass(slots=True)
class NodeVerdict:
    """One node: containers that were given cards, over-allocations, and other refusals."""

    allocations: int = 0
    violations: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checkers' word on everything handed out since the sandbox began, by node."""

    nodes: dict[str, NodeVerdict]

    @property
    def ok(self) -> bool:
        """Nothing was ever given out that a node does not have."""
        return not self.violations

    @property
    def allocations(self) -> int:
        """Containers that were given cards, on all nodes."""
        return sum(node.allocations for node in self.nodes.values())

    @property
    def violations(self) -> list[str]:
        """Every over-allocation, with its node in front."""
        return [f"node {name}: {text}" for name, node in self.nodes.items() for text in node.violations]

    def __str__(self) -> str:
        nodes = len(self.nodes)
        head = f"{self.allocations} allocations on {nodes} node{'s' * (nodes != 1)} checked"
        if self.ok:
            return f"{head}, no card was ever given beyond what it has"
        return "\n  ".join([f"{head}, {len(self.violations)} VIOLATIONS:", *self.violations])


def verdict(nodes: list[str], journals: list[Path]) -> Verdict:
    """The verdict on these nodes; a node that never allocated has zeros."""
    found = {name: NodeVerdict() for name in nodes}
    for path in journals:
        for record in Journal(path).records():
            node = found.setdefault(record["node"], NodeVerdict())
            if record["event"] == "allocated":
                node.allocations += 1
            elif record["event"] == "violated":
                node.violations.append(record["text"])
            else:
                node.failures.append(record["text"])
    return Verdict(found)
