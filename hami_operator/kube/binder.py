"""Carrying a decision out: lock, one Binding with everything in it, and undoing or fencing when that goes wrong.

Order (each step undone by the one that fails after it): checks -> node lock -> Binding. A definite refusal undoes. No
answer undoes nothing before a fence has shown that the Binding did not land and never will.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hami_operator.core.model import Allocation, PodKey
from hami_operator.core.protocol import EPOCH, OWN_PREFIX

from . import paths
from .client import Client, Json
from .errors import Conflict, NotFound, Refused, Unanswered
from .fence import PodAbsent, PodOnNode, Standing, fence, look
from .lockbook import Turn
from .nodelock import NodeLocks
from .writable import problem, writable_labels

log = logging.getLogger(__name__)

#: From this version on a Binding's labels are merged into the pod.
LABELS_IN_BINDING = (1, 35)


@dataclass(frozen=True, slots=True)
class Order:
    """A decision to carry out.

    ``resource_version`` and ``present`` (annotations) are those of the pod that was decided on. An annotation that is
    to vanish has the value None. ``locks`` are the keys of the node locks that the allocation's families need.
    """

    pod: PodKey
    resource_version: str
    node: str
    annotations: Mapping[str, str | None]
    labels: Mapping[str, str] = field(default_factory=dict)
    present: Mapping[str, str] = field(default_factory=dict)
    locks: tuple[str, ...] = ()
    allocation: Allocation = Allocation()


class Why(enum.Enum):
    """Why an order was not carried out, though its pod may still be bound."""

    NOT_WRITABLE = "what is to be written would break the pod"
    NODE_GONE = "the node is gone"
    NODE_CHANGED = "the node has changed since the decision"
    LOCK_BUSY = "the node lock is held by another pod"
    CHANGED = "the pod has changed since the decision"
    REFUSED = "the API server refuses it"
    UNANSWERED = "the API server did not answer"


@dataclass(frozen=True, slots=True)
class Bound:
    """The pod is on ``node`` with our allocation. ``pod`` is its object where one was read on the way."""

    node: str
    pod: Json | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing is left of the order: no lock, no allocation. ``pod`` is its object where one was read."""

    why: Why
    message: str
    pod: Json | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The pod is gone, being deleted, or its name belongs to another pod. Nothing is left of the order."""


@dataclass(frozen=True, slots=True)
class BoundElsewhere:
    """Somebody else bound the pod, to ``node`` (which may be the order's). Nothing is left of the order."""

    node: str
    pod: Json


Outcome = Bound | Rejected | Gone | BoundElsewhere


class Binder:
    """Carries out orders. ``server`` is the API server's (major, minor) version.

    ``objection`` tells why an order is not to be carried out any more; it is asked before the locks and with them.
    ``lock_patience_s`` is how long an order waits for all its locks together.
    """

    def __init__(
        self,
        client: Client,
        locks: NodeLocks,
        server: tuple[int, int],
        objection: Callable[[Order], Rejected | None],
        lock_patience_s: float = 25.0,
    ) -> None:
        self._client = client
        self._locks = locks
        self._labels_in_binding = server >= LABELS_IN_BINDING
        self._objection = objection
        self._lock_patience_s = lock_patience_s

    @property
    def in_hand(self) -> frozenset[str]:
        """The uids of the pods that are being bound now."""
        return frozenset(self._locks.in_hand)

    def abandon(self, uid: str) -> None:
        """The pod is gone: don't wait for a lock for it any more."""
        self._locks.abandon(uid)

    async def bind(self, order: Order) -> Outcome:
        """Carry the order out. Whatever the outcome, it is definite.

        Raises:
            NotLeading: the lease was lost on the way. Reservation, lock and Binding are the next leader's to fence.
        """
        order = replace(order, labels=writable_labels(order.labels))
        written = {key: value for key, value in order.annotations.items() if value is not None}
        kept = {key: value for key, value in order.present.items() if order.annotations.get(key, "") is not None}
        if complaint := problem(kept, written, order.labels):
            return Rejected(Why.NOT_WRITABLE, complaint)
        if (rejected := self._objection(order)) is not None:
            return rejected
        self._locks.in_hand.add(order.pod.uid)
        try:
            return await self._bind_locked(order)
        finally:
            self._locks.in_hand.discard(order.pod.uid)

    async def _bind_locked(self, order: Order) -> Outcome:
        """Take the locks, in an order that all orders share; bind; release in reverse what a failure leaves."""
        taken: list[str] = []
        deadline = time.monotonic() + self._lock_patience_s
        for key in sorted(order.locks):
            if (outcome := await self._lock(order, key, max(deadline - time.monotonic(), 0.0))) is not None:
                break
            taken.append(key)
        else:
            outcome = self._objection(order) or await self._bind_unlocked(order)
        if not isinstance(outcome, Bound):
            for key in reversed(taken):
                await self._release(order, key)
        return outcome

    async def _lock(self, order: Order, key: str, patience_s: float) -> Outcome | None:
        """Take one lock; the order's outcome where it can't be had."""
        try:
            turn = await self._locks.take(order.node, order.pod, patience_s, key)
        except Refused as error:
            return Rejected(Why.REFUSED, f"node {order.node} can't be locked: {error}")
        if turn is Turn.BUSY:
            return Rejected(Why.LOCK_BUSY, self._locks.busy_text(order.node, key))
        if turn is Turn.NODE_GONE:
            return Rejected(Why.NODE_GONE, f"node {order.node} is gone")
        return Gone() if turn is Turn.ABANDONED else None

    async def _release(self, order: Order, key: str) -> None:
        try:
            await self._locks.release(order.node, order.pod, key)
        except Refused as error:
            log.warning("%s of node %s can't be released, it will expire: %s", key, order.node, error)

    async def _bind_unlocked(self, order: Order) -> Outcome:
        before = self._before_binding(order)
        if not before:
            return await self._post(order)
        prepared = await self._prepare(order, before)
        if not isinstance(prepared, Order):
            return prepared
        outcome = await self._post(prepared)
        if order.labels and not self._labels_in_binding and isinstance(outcome, Rejected | BoundElsewhere):
            await self._remove_labels(order)
        return outcome

    def _before_binding(self, order: Order) -> Json:
        """The metadata that a Binding can't write: deletions, and labels where the server would ignore them."""
        metadata: Json = {}
        if vanish := {key: None for key, value in order.annotations.items() if value is None and key in order.present}:
            metadata["annotations"] = vanish
        if order.labels and not self._labels_in_binding:
            metadata["labels"] = dict(order.labels)
        return metadata

    async def _prepare(self, order: Order, metadata: Json) -> Order | Outcome:
        """Patch the pod ahead of the Binding; the order for its new version, or the outcome."""
        preconditions = {"uid": order.pod.uid, "resourceVersion": order.resource_version}
        path = paths.pod(order.pod.namespace, order.pod.name)
        try:
            pod = await self._client.merge_patch(path, {"metadata": {**metadata, **preconditions}})
        except Unanswered as error:
            return self._outcome(order, await self._fence(order), Why.UNANSWERED, str(error))
        except Refused as error:
            return await self._refused(order, error)
        return replace(order, resource_version=pod["metadata"]["resourceVersion"])

    async def _remove_labels(self, order: Order) -> None:
        patch = {"metadata": {"uid": order.pod.uid, "labels": dict.fromkeys(order.labels)}}
        try:
            await self._client.merge_patch(paths.pod(order.pod.namespace, order.pod.name), patch)
        except (Refused, Unanswered) as error:
            log.warning("pod %s keeps a label of an attempt that failed: %s", order.pod, error)

    async def _post(self, order: Order) -> Outcome:
        try:
            await self._client.create(paths.pod(order.pod.namespace, order.pod.name) + "/binding", self._binding(order))
        except Unanswered as error:
            log.warning("binding %s to %s: %s; fencing the pod", order.pod, order.node, error)
            return self._outcome(order, await self._fence(order), Why.UNANSWERED, str(error))
        except Refused as error:
            return await self._refused(order, error)
        return Bound(order.node)

    def _binding(self, order: Order) -> Json:
        metadata: Json = {
            "name": order.pod.name,
            "namespace": order.pod.namespace,
            "uid": order.pod.uid,
            "resourceVersion": order.resource_version,
            "annotations": {key: value for key, value in order.annotations.items() if value is not None},
        }
        if self._labels_in_binding:
            metadata["labels"] = dict(order.labels)
        target = {"apiVersion": "v1", "kind": "Node", "name": order.node}
        return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}

    async def _fence(self, order: Order) -> Standing:
        return await fence(self._client, order.pod, order.resource_version)

    async def _refused(self, order: Order, error: Refused) -> Outcome:
        """A definite refusal. What a conflict means is read from the pod (a proxy may have sent our request twice)."""
        if isinstance(error, NotFound):
            return Gone()
        if not isinstance(error, Conflict):
            return Rejected(Why.REFUSED, str(error))
        try:
            found = await look(self._client, order.pod)
        except Unanswered:
            found = await self._fence(order)
        except Refused:
            return Rejected(Why.REFUSED, str(error))
        return self._outcome(order, found, Why.CHANGED, error.message)

    @staticmethod
    def _outcome(order: Order, found: Standing, why: Why, message: str) -> Outcome:
        if isinstance(found, PodOnNode):
            ours = found.node == order.node and _bears(found.pod, order)
            return Bound(found.node, found.pod) if ours else BoundElsewhere(found.node, found.pod)
        if isinstance(found, PodAbsent) or found.deleting:
            return Gone()
        return Rejected(why, message, found.pod)


def _bears(pod: Json, order: Order) -> bool:
    """Whether the pod has our own annotations of this order (nobody else writes those; plugins change the rest)."""
    annotations = pod["metadata"].get("annotations") or {}
    ours = {key: value for key, value in order.annotations.items() if key.startswith(OWN_PREFIX) and key != EPOCH}
    return all(annotations.get(key) == value for key, value in ours.items())
