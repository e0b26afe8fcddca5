"""Claims and volumes, as far as they tie a pod to nodes: a bound claim is where its volume is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hami_operator.core import fields
from hami_operator.core.errors import ObjectError
from hami_operator.core.node_fit import Claim
from hami_operator.core.objects import read_terms
from hami_operator.world import World

log = logging.getLogger(__name__)


def on_claim_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """A PersistentVolumeClaim was added, changed, listed or (``gone``) deleted."""
    try:
        metadata = fields.mapping(obj, "metadata")
        key = fields.text(metadata, "namespace"), fields.text(metadata, "name")
        bound = fields.text(fields.mapping(obj, "status"), "phase", "status.") == "Bound"
        volume = fields.text(fields.mapping(obj, "spec"), "volumeName", "spec.")
    except ObjectError as error:
        log.warning("claim not read: %s", error)
        return
    book = world.volumes
    if gone:
        book.claims.pop(key, None)
    else:
        book.claims[key] = volume if bound else ""
    _settle(world, key)


def on_volume_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """A PersistentVolume was added, changed, listed or (``gone``) deleted."""
    try:
        name = fields.text(fields.mapping(obj, "metadata"), "name")
        affinity = fields.mapping(fields.mapping(obj, "spec"), "nodeAffinity", "spec.")
        required = fields.mapping(affinity, "required", "spec.nodeAffinity.")
        terms = read_terms(required) if required else None
    except ObjectError as error:
        log.warning("volume not read: %s", error)
        return
    book = world.volumes
    if gone:
        book.terms.pop(name, None)
    else:
        book.terms[name] = terms
    for key, volume in book.claims.items():
        if volume == name:
            _settle(world, key)


def _settle(world: World, key: tuple[str, str]) -> None:
    """Say what is known of a claim now; pods that use claims are looked at again when that is news."""
    book, cluster = world.volumes, world.cluster
    volume = book.claims.get(key)
    claim = None if volume is None else Claim(bound=volume in book.terms, terms=book.terms.get(volume))
    if cluster.set_claim(key, claim):
        world.queue.wake()
