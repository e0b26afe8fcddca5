"""Pods of several families whose plugins share the node lock: the lock is taken again for each plugin but the first.

Each of these plugins sets the phase to ``success`` and takes the lock away when its own list is empty, and one that
comes then finds no pod to serve. So such a pod stands first in the queue of the lock that it holds: it gets it once
more, before any other pod, and its phase is ``allocating`` again. This is the best that can be done, not enough: the
kubelet asks the second plugin right after the first, and may be faster.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import BIND_PHASE, Phase

from . import paths
from .background import Background
from .backoff import until_answered
from .client import Client
from .errors import Conflict, NotFound
from .fence import PodOnNode, look
from .lockbook import Turn
from .nodelock import NodeLocks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unserved:
    """A bound pod with cards of several families under the node lock; ``lists`` are what their plugins consume."""

    pod: PodKey
    node: str
    lists: tuple[str, ...]


def waits_for_plugins(phase: str, annotations: Mapping[str, str], lists: tuple[str, ...]) -> bool:
    """Whether a pod in this phase still has cards named in one of these device lists, and no plugin failed it."""
    well = phase == "Pending" and annotations.get(BIND_PHASE) in (Phase.ALLOCATING, Phase.SUCCESS)
    return well and any("," in annotations.get(key, "") for key in lists)


class Turns:
    """Gives pods the lock again. ``patience_s``: how long one waits for it; ``under_way``: the uids of those that do.

    A pod gets it once for each family but the first: some plugins never empty their list.
    """

    def __init__(self, client: Client, locks: NodeLocks, patience_s: float) -> None:
        self._client = client
        self._locks = locks
        self._patience_s = patience_s
        self._given: dict[str, int] = {}
        self.under_way: set[str] = set()
        self._background = Background()

    def again(self, unserved: Unserved) -> None:
        """The pod waits for its plugins, each of which will take the lock away."""
        uid = unserved.pod.uid
        if uid not in self.under_way and self._given.get(uid, 0) < len(unserved.lists) - 1:
            self.under_way.add(uid)
            self._background.spawn(self._give(unserved))

    def over(self, pod: PodKey, node: str) -> None:
        """The pod runs, so all plugins have been asked: a lock that it was given again and still has is released."""
        given = self._given.get(pod.uid, 0)
        self.forget(pod)
        if given:
            self._background.spawn(self._locks.release(node, pod))

    def forget(self, pod: PodKey) -> None:
        """The pod needs no lock any more."""
        self._given.pop(pod.uid, None)
        if pod.uid in self.under_way:
            self._locks.abandon(pod.uid)

    async def close(self) -> None:
        """Break off what is under way."""
        await self._background.close()

    async def _give(self, unserved: Unserved) -> None:
        """The lock before the phase: plugins look for both in this order."""
        pod, node = unserved.pod, unserved.node
        try:
            if await self._locks.take_again(node, pod, self._patience_s) is not Turn.TAKEN:
                return
            if await until_answered(lambda: self._back_to_allocating(unserved)):
                self._given[pod.uid] = self._given.get(pod.uid, 0) + 1
                log.info("%s: node %s is locked for it once more, for its other families", pod, node)
            else:
                await self._locks.release(node, pod)
        finally:
            self.under_way.discard(pod.uid)

    async def _back_to_allocating(self, unserved: Unserved) -> bool:
        """Set the phase of a pod that still waits for a plugin; False when it does not. Raises KubeError."""
        while True:
            found = await look(self._client, unserved.pod)
            if not isinstance(found, PodOnNode) or found.node != unserved.node:
                return False
            metadata, phase = found.pod["metadata"], (found.pod.get("status") or {}).get("phase", "")
            annotations = metadata.get("annotations") or {}
            if not waits_for_plugins(phase, annotations, unserved.lists):
                return False
            if annotations[BIND_PHASE] == Phase.ALLOCATING:
                return True
            preconditions = {"uid": unserved.pod.uid, "resourceVersion": metadata["resourceVersion"]}
            patch = {"metadata": {**preconditions, "annotations": {BIND_PHASE: Phase.ALLOCATING.value}}}
            try:
                await self._client.merge_patch(paths.pod(unserved.pod.namespace, unserved.pod.name), patch)
            except NotFound:
                return False
            except Conflict:
                continue  # the pod has changed since it was read
            return True
