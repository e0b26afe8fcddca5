"""Nodes: their cards go to the inventory, their locks to whoever waits for one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.errors import ObjectError
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.objects import read_node
from hami_operator.world import Problem, World

from .allocations import end_trouble

log = logging.getLogger(__name__)


def on_node_event(world: World, obj: Mapping[str, Any], *, gone: bool) -> None:
    """A node was added, changed, listed or (``gone``) deleted."""
    try:
        node = read_node(obj)
    except ObjectError as error:
        log.warning("node not read, its last good state is kept: %s", error)
        return
    if gone:
        on_node_gone(world, node.name)
        return
    before = world.cluster.inventory.get(node.name)
    update = world.cluster.inventory.update(node)
    for family, problem in update.problems.items():
        message = f"{family}: {problem}; the last good list of cards is kept"
        world.report(Problem("Node", node.name, "", node.uid, "RegistrationUnreadable", message))
    world.node_seen(node)
    locked = protocol.NODE_LOCK in node.annotations or world.busy(node.name)
    world.cluster.set_busy(node.name, locked=locked)
    if update.changed:
        _registered_anew(world, before, node.name)
        world.queue.wake()


def _registered_anew(world: World, before: NodeDevices | None, name: str) -> None:
    """A plugin that registers other cards than before, or again after it was away, has been mended or replaced."""
    entry = world.cluster.inventory.get(name)
    if before is not None and entry is not None:
        for family, devices in entry.devices.items():
            if devices != before.devices.get(family) or family in entry.live - before.live:
                end_trouble(world, name, family, world.now())


def on_node_gone(world: World, name: str) -> None:
    """A node went, as an event or the periodic resync tells."""
    if world.cluster.inventory.remove(name):
        log.info("node %s is gone", name)
    world.cluster.set_busy(name, locked=False)
    world.cluster.failing.forget_node(name)
    world.node_gone(name)
