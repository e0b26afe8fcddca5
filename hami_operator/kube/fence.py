"""Making sure that an old Binding can't land any more, and learning where its pod stands.

A Binding carries the pod's resourceVersion as a precondition. So after any later write to the pod either the Binding
has landed before it, and the answer shows a nodeName, or it never will.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import EPOCH

from . import paths
from .backoff import until_answered
from .client import Client, Json
from .errors import NotFound, Refused, Unanswered
from .writable import problem

log = logging.getLogger(__name__)

#: A request that the API server took longer than a minute for is ended by it (--request-timeout), with time to spare.
REQUEST_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class PodAbsent:
    """The pod is gone, or its name belongs to another pod now."""


@dataclass(frozen=True, slots=True)
class PodUnbound:
    """The pod has no node. ``pod`` is the object as answered, ``deleting`` whether it is being deleted."""

    pod: Json
    deleting: bool


@dataclass(frozen=True, slots=True)
class PodOnNode:
    """The pod is bound to ``node``. ``pod`` is the object as answered."""

    pod: Json
    node: str


Standing = PodAbsent | PodUnbound | PodOnNode


def standing(key: PodKey, pod: Json) -> Standing:
    """Where the pod ``key`` stands, by an object of its name."""
    metadata = pod.get("metadata") or {}
    if metadata.get("uid") != key.uid:
        return PodAbsent()
    node = (pod.get("spec") or {}).get("nodeName")
    return PodOnNode(pod, node) if node else PodUnbound(pod, metadata.get("deletionTimestamp") is not None)


async def look(client: Client, key: PodKey) -> Standing:
    """Where the pod stands now (a consistent read). Raises KubeError, but never NotFound."""
    try:
        return standing(key, await client.get(paths.pod(key.namespace, key.name)))
    except NotFound:
        return PodAbsent()


async def fence(client: Client, key: PodKey, binding_version: str = "") -> Standing:
    """Write a unique epoch to the pod and tell where it stands. Tries until there is a definite answer.

    ``binding_version`` is the resourceVersion the doubtful Binding carries, where it is known: a pod that refuses the
    write is fenced all the same once its version is another one. A pod whose annotations leave no room for the epoch
    needs no fence: the binder sends no Binding for such a pod, and one that was sent before they grew is stale. And one
    that nobody lets us write (an admission policy, say) is waited for as long as a request can be under way.

    Raises:
        NotLeading: the lease was lost; the next leader fences.
    """
    outlived = time.monotonic() + REQUEST_SECONDS
    return await until_answered(lambda: _fence_once(client, key, binding_version, outlived))


async def _fence_once(client: Client, key: PodKey, binding_version: str, outlived: float) -> Standing:
    mark = {"metadata": {"uid": key.uid, "annotations": {EPOCH: secrets.token_hex(8)}}}
    try:
        return standing(key, await client.merge_patch(paths.pod(key.namespace, key.name), mark))
    except NotFound:
        return PodAbsent()
    except Refused as refused:
        found = await _look_again(client, key)
        if isinstance(found, PodUnbound) and problem(found.pod["metadata"].get("annotations") or {}, {}, ()):
            return found
        if time.monotonic() > outlived:
            log.warning("pod %s can't be fenced, but what was sent before has ended by now: %s", key, refused)
            return found
        if isinstance(found, PodUnbound) and found.pod["metadata"]["resourceVersion"] == (
            binding_version or found.pod["metadata"]["resourceVersion"]
        ):
            log.warning("pod %s can't be fenced yet: %s", key, refused)
            raise Unanswered(f"pod {key} can't be fenced: {refused}") from refused
        return found


async def _look_again(client: Client, key: PodKey) -> Standing:
    """Where the pod stands. An API server that has just started forbids us even that for a moment: Unanswered."""
    try:
        return await look(client, key)
    except Refused as refused:
        raise Unanswered(f"pod {key} can't be read: {refused}") from refused
