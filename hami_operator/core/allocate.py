"""The engine: which cards of one node a pod gets, or why not. One engine for every family, driven by its profile.

In words: per container in wire order and per family, the family's own cards are put in policy order, each passes the
profile's checks (the first that fails is its reason), the first n or the chooser's n are taken, and what is taken is
seen by the next container. An init container gives its cards back to the pod; a sidecar and an app container keep them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .inventory import NodeDevices
from .model import Allocation, ContainerKind, DeviceRequest, Pod, Share
from .reasons import Reason, Refusal
from .request import check_one_name, read_card_policy, read_node_policy, read_selection
from .room import NO_LIMIT, Room
from .take import take
from .vendor import (
    NOTHING,
    Amounts,
    CardPolicy,
    CardState,
    Charge,
    FitContext,
    Profile,
    Selection,
    Tenant,
    Witness,
    added,
    larger,
)


@dataclass(frozen=True, slots=True)
class FamilyDemand:
    """What a pod asks of one family: a request or None per container position, and which cards it accepts."""

    profile: Profile
    requests: tuple[DeviceRequest | None, ...]
    selection: Selection


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pod asks of a node's cards. Two pods of equal demand are answered alike by an unchanged node."""

    kinds: tuple[ContainerKind, ...]
    families: tuple[FamilyDemand, ...]
    card_policy: CardPolicy
    node_policy: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One node as the engine sees it: its cards, what is used of them, the families that are refused as a whole.

    ``tenants`` are the shares of each card by pod uid, of the families that ask for them; ``reach`` is the largest
    linked group of the whole cluster by family.
    """

    entry: NodeDevices
    used: Mapping[str, Mapping[str, Amounts]] = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    tenants: Mapping[str, Mapping[str, Mapping[str, tuple[Tenant, ...]]]] = field(default_factory=dict)
    reach: Mapping[str, int] = field(default_factory=dict)


def read_demand(pod: Pod, profiles: Sequence[Profile], *, card_policy: str, node_policy: str) -> Demand:
    """A pod's demand; the policies are the defaults for a pod that names none.

    Raises:
        InvalidRequest: an amount or a policy word is malformed or out of range.
    """
    families = []
    for profile in profiles:
        requests = tuple(profile.request(container) for container in pod.containers)
        if any(requests):
            check_one_name(profile, pod.containers)
            families.append(FamilyDemand(profile, requests, read_selection(profile, pod.annotations)))
    return Demand(
        kinds=tuple(container.kind for container in pod.containers),
        families=tuple(families),
        card_policy=read_card_policy(pod.annotations, card_policy),
        node_policy=read_node_policy(pod.annotations, node_policy),
    )


def allocate(
    pod: Pod, demand: Demand, offer: Offer, rooms: Mapping[str, Room], witness: Witness | None = None
) -> Allocation | tuple[Refusal, ...]:
    """Choose the pod's cards on one node.

    Returns the allocation (each family of the pod with one list per container position), or why the node does not
    take the pod. Nothing that is passed in is changed. A ``witness`` is told of every card that is looked at.
    """
    gate = tuple(refusal for family in demand.families if (refusal := _closed(family.profile, offer)))
    if gate:
        return gate
    states = {family.profile.key: _card_states(family.profile, offer) for family in demand.families}
    chosen: dict[str, list[tuple[Share, ...]]] = {family.profile.key: [] for family in demand.families}
    for position, kind in enumerate(demand.kinds):
        for family in demand.families:
            request, key = family.requests[position], family.profile.key
            shares: tuple[Share, ...] = ()
            if request is not None:
                context = _on_node(
                    FitContext(
                        family.profile,
                        request,
                        family.selection,
                        demand.card_policy,
                        pod,
                        offer.entry.node,
                        offer.entry.cordoned,
                        states[key],
                        family.requests,
                        witness,
                        offer.reach.get(key, 0),
                    )
                )
                if isinstance(context, Refusal):
                    return (context,)
                taken = take(context, states[key], rooms.get(key, NO_LIMIT))
                if isinstance(taken, tuple):
                    return taken
                shares = tuple(_grant(context, kind, state, charge) for state, charge in taken)
            chosen[key].append(shares)
    return Allocation({key: tuple(positions) for key, positions in chosen.items()})


def _closed(profile: Profile, offer: Offer) -> Refusal | None:
    """Why the family is not to be had on this node at all."""
    if profile.key not in offer.entry.devices:
        return Refusal(Reason.NODE_UNREGISTERED, detail=f"no {profile.key} cards are registered")
    if profile.key not in offer.entry.live:
        return Refusal(
            Reason.NODE_UNREGISTERED, detail=f"{profile.live_name or profile.names.count} is not allocatable"
        )
    return offer.refused.get(profile.key)


def _card_states(profile: Profile, offer: Offer) -> list[CardState]:
    used = offer.used.get(profile.key, {})
    states = [CardState(device, *used.get(device.uuid, NOTHING)) for device in offer.entry.devices[profile.key]]
    tenants = offer.tenants.get(profile.key)
    if tenants:
        for state in states:
            state.tenants = tuple(t for shares in tenants.get(state.device.uuid, {}).values() for t in shares)
    return states


def _on_node(context: FitContext) -> FitContext | Refusal:
    """The request as it is meant on this node, or why the node is not for it."""
    meant = context.profile.hooks.node_gate(context)
    if isinstance(meant, DeviceRequest):
        return replace(context, request=meant)
    return context if meant is None else Refusal(meant, len(context.cards), len(context.cards))


def _grant(context: FitContext, kind: ContainerKind, state: CardState, charge: Charge) -> Share:
    """Write one share into the working state. What an init container holds is only remembered as a peak."""
    profile = context.profile
    share = profile.hooks.share(context, state, charge)
    stays = kind is not ContainerKind.INIT and profile.tenant_keys is not None and not profile.part_tenants
    if stays or charge.place:
        state.tenants += (Tenant(share, profile.marks(context.pod)),)
    total = added(state.own_steady, Amounts(1, charge.memory_mib, charge.cores))
    if kind is ContainerKind.INIT:
        state.own_peak = larger(state.own_peak, total)
        return share
    state.own_steady = total
    state.used_slots += 1
    state.used_memory_mib += charge.memory_mib
    state.used_cores += charge.cores
    return share
