"""Something computed from each node, computed anew only for nodes that changed since it was asked for last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.record import NodeUsage

Value = TypeVar("Value")

#: Nodes computed between two chances for others to run.
SLICE = 16


class PerNode(Generic[Value]):
    """``build(cluster, node, usage, before)`` of every node, by name; ``before`` is the node's last value, if any."""

    def __init__(self, build: Callable[[Cluster, NodeDevices, NodeUsage, Value | None], Value]) -> None:
        self._build = build
        self._cluster: Cluster | None = None
        self._position = -1
        self._values: dict[str, Value] = {}

    def now(self, cluster: Cluster) -> dict[str, Value]:
        """The values as of now, computed without a wait. Not to be changed by the caller."""
        for name in self._changed(cluster):
            self._compute(cluster, name)
        return self._values

    async def gently(self, cluster: Cluster) -> dict[str, Value]:
        """The same, with waits in between: each value is of some moment since the call."""
        for number, name in enumerate(self._changed(cluster)):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            self._compute(cluster, name)
        return self._values

    def _changed(self, cluster: Cluster) -> set[str]:
        """Nodes to look at: all where the journal does not reach back so far, and of a cluster that is a new one."""
        if cluster is not self._cluster:
            self._values, self._position = {}, -1
        changed = cluster.journal.since(self._position)
        self._cluster, self._position = cluster, cluster.journal.position
        return {entry.node.name for entry in cluster.inventory} | self._values.keys() if changed is None else changed

    def _compute(self, cluster: Cluster, name: str) -> None:
        entry = cluster.inventory.get(name)
        if entry is None:
            self._values.pop(name, None)
        else:
            self._values[name] = self._build(cluster, entry, cluster.ledger.usage(name), self._values.get(name))
