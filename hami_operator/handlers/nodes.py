"""Nodes: their cards go to the inventory, their locks to whoever waits for one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.errors import ObjectError
from hami_operator.core.objects import read_node
from hami_operator.world import Problem, World

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
    inventory = world.cluster.inventory
    before = inventory.get(node.name)
    for family, problem in inventory.update(node).items():
        message = f"{family}: {problem}; the last good list of cards is kept"
        world.report(Problem("Node", node.name, "", node.uid, "RegistrationUnreadable", message))
    text = node.annotations.get(protocol.NODE_LOCK)
    (world.cluster.busy.add if text else world.cluster.busy.discard)(node.name)
    world.lock_changed(node.name, text)
    entry = inventory.get(node.name)
    if before is None or entry is None or before.version != entry.version:
        world.queue.wake()


def on_node_gone(world: World, name: str) -> None:
    """A node went, as an event or the periodic resync tells."""
    if world.cluster.inventory.remove(name):
        log.info("node %s is gone", name)
    world.cluster.busy.discard(name)
    world.node_removed(name)
