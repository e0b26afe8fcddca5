"""Quota objects, ours and Kubernetes' own: what is in force goes to the book, and pods that wait for it hear of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hami_operator.core.errors import ObjectError
from hami_operator.core.quota import CORE_KIND, OWN_KIND, Quota, QuotaId, read_quota
from hami_operator.world import Problem, World

log = logging.getLogger(__name__)


def on_extended_quota_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """An ExtendedResourceQuota was added, changed, listed or (``gone``) deleted."""
    _on_event(world, obj, OWN_KIND, gone=gone)
    world.own_quota_seen(obj, gone)


def on_resource_quota_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """A core ResourceQuota was added, changed, listed or (``gone``) deleted."""
    _on_event(world, obj, CORE_KIND, gone=gone)


def _on_event(world: World, obj: Mapping[str, Any], kind: str, *, gone: bool) -> None:
    book, metadata = world.cluster.quotas, obj["metadata"]
    quota = QuotaId(kind, metadata["namespace"], metadata["name"])
    if gone:
        changed = book.remove(quota)
    else:
        try:
            found = read_quota(obj, kind, book.keys)
        except ObjectError as error:
            log.warning("%s %s not read, its last good state is kept: %s", kind, quota, error)
            return
        before = book.get(quota)
        changed = book.put(found) if found.limits or kind == OWN_KIND else book.remove(quota)
        _tell(world, before, found)
    if changed:
        world.queue.wake_namespace(quota.namespace)


def _tell(world: World, before: Quota | None, found: Quota) -> None:
    """Say what is wrong with an object, once; ours says it in its status too."""
    known = before.problems if before is not None else ()
    for reason, text in found.problems:
        if (reason, text) not in known:
            world.report(Problem(found.id.kind, found.id.name, found.id.namespace, found.uid, reason, text))
