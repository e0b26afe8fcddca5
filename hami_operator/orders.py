"""From a decision to an order for the binder, and whether it may still be carried out."""

from __future__ import annotations

from collections.abc import Sequence

from hami_operator.core.binding import binding_annotations, binding_labels
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Pod
from hami_operator.core.schedule import Placement
from hami_operator.core.vendor import Profile
from hami_operator.kube.binder import Order, Rejected, Why
from hami_operator.kube.takeover import Marks
from hami_operator.world import World


def order_of(world: World, pod: Pod, decision: Placement) -> Order:
    """What the binder is to do for a placement."""
    cluster, allocation = world.cluster, decision.allocation
    entry = cluster.inventory.get(decision.node)
    if entry is None or not allocation:
        return Order(pod.key, pod.resource_version, decision.node, {}, {}, pod.annotations)
    locks = {profile.lock_key for profile in cluster.profiles if profile.key in allocation.families} - {""}
    return Order(
        pod=pod.key,
        resource_version=pod.resource_version,
        node=decision.node,
        annotations=binding_annotations(pod, entry, allocation, cluster.profiles, world.now()),
        labels=binding_labels(decision.node),
        present=pod.annotations,
        locks=tuple(sorted(locks)),
        allocation=allocation,
    )


def lock_marks(profiles: Sequence[Profile]) -> dict[str, Marks]:
    """The node locks that these families need, by key, and how their plugins tell how far they are."""
    return {p.lock_key: Marks(p.phase_key, p.served_key) for p in profiles if p.lock_key}


def objection(world: World, order: Order) -> Rejected | None:
    """Why an order is not to be carried out any more: waiting for a node's lock may take minutes, and nodes change.

    A pod that waited while the plugin failed the one before it would only be the next to fail.
    """
    entry = world.cluster.inventory.get(order.node)
    if entry is None:
        return Rejected(Why.NODE_GONE, f"node {order.node} is not known")
    failing, now = world.cluster.failing, world.now()
    for family in order.allocation.families:
        if failing.active((order.node, family), now):
            return Rejected(Why.NODE_CHANGED, f"{family} allocations have just failed on node {order.node}")
        if ill := _lost(entry, order, family):
            return Rejected(Why.NODE_CHANGED, f"card {ill} of node {order.node} is gone or unhealthy")
    return None


def _lost(entry: NodeDevices, order: Order, family: str) -> str:
    """The first card of the order that the node has no more, or that is ill; empty when all are well."""
    well = {device.uuid for device in entry.devices.get(family, ()) if device.healthy}
    shares = (share for shares in order.allocation.families[family] for share in shares)
    return next((share.card for share in shares if share.card not in well), "")
