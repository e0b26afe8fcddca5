"""Claims and volumes, as far as they tie a pod to nodes: a bound claim is where its volume is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hami_operator.core.errors import ObjectError
from hami_operator.core.objects import read_claim, read_volume
from hami_operator.world import World

log = logging.getLogger(__name__)


def on_claim_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """A PersistentVolumeClaim was added, changed, listed or (``gone``) deleted."""
    try:
        key, volume = read_claim(obj)
    except ObjectError as error:
        log.warning("claim not read: %s", error)
        return
    book = world.volumes
    if gone:
        book.claims.pop(key, None)
    else:
        book.claims[key] = volume
    _settle(world, key)


def on_volume_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """A PersistentVolume was added, changed, listed or (``gone``) deleted."""
    try:
        name, terms = read_volume(obj)
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
    if world.cluster.set_claim(key, world.volumes.claim(key)):
        world.queue.wake()
