"""The engine: which cards of one node a pod gets, or why not. One engine for every family, driven by its profile.

In words: per container in wire order and per family, the family's own cards are put in policy order, each passes the
profile's checks (the first that fails is its reason), the first n or the chooser's n are taken, and what is taken is
seen by the next container. An init container gives its cards back to the pod; a sidecar and an app container keep them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .checks import refuse
from .inventory import NodeDevices
from .model import Allocation, ContainerKind, DeviceRequest, Pod, Share
from .reasons import Reason, Refusal, card_refusals
from .request import check_one_name, read_card_policy, read_node_policy, read_selection
from .room import NO_LIMIT, Room
from .score import card_order
from .vendor import (
    NOTHING,
    Amounts,
    CardPolicy,
    CardState,
    Charge,
    FitContext,
    Outlook,
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


_Taken = list[tuple[CardState, Charge]]


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
                taken = _take(context, states[key], rooms.get(key, NO_LIMIT))
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


# -- one request -------------------------------------------------------------------------------------------------


def _take(context: FitContext, states: Sequence[CardState], room: Room) -> _Taken | tuple[Refusal, ...]:
    """The cards for one request, or the refusals of this node.

    With NUMA binding the first group that can serve it does; where a chooser looks for more than room, the group whose
    set the family would prefer between nodes.
    """
    wanted, offered = context.request.count, len(states)
    if wanted > offered and wanted > sum(max(state.device.parts, 1) for state in states):
        return (Refusal(Reason.NODE_INSUFFICIENT_DEVICE, detail=f"{offered} cards, {wanted} asked"),)
    counts: Counter[Reason] = Counter()
    details: dict[Reason, str] = {}
    found: list[_Taken] = []
    purse = _Purse(room, states, [])
    groups = _numa_groups(card_order(context, states), apart=context.selection.numa_bind)
    choosy = context.profile.hooks.chooser(context) is not None
    for last, group in ((index == len(groups) - 1, group) for index, group in enumerate(groups)):
        passed = _passing(context, group, purse, counts)
        taken = _choose(context, passed, purse)
        if isinstance(taken, list):
            found.append(taken)
            if not choosy:
                break
        elif passed:
            short = taken.reason is Reason.ALLOCATED_CARDS_INSUFFICIENT and not last
            reason = Reason.NUMA_NOT_FIT if short else taken.reason
            counts[reason] += len({state.device.uuid for state, _ in passed})
            details[reason] = taken.detail
    if found:
        return found[0] if len(found) == 1 else max(found, key=lambda taken: _worth(context, taken))
    details[Reason.RESOURCE_QUOTA_NOT_FIT] = purse.sentence()
    return card_refusals(counts, offered, details)


def _worth(context: FitContext, taken: _Taken) -> float:
    """What a set is worth to the family as between nodes; higher is better."""
    hooks, cards = context.profile.hooks, context.cards
    used = {card.device.uuid: Amounts(card.used_slots, card.used_memory_mib, card.used_cores) for card in cards}
    outlook = Outlook(
        context.pod,
        context.node,
        "binpack",
        devices={card.device.uuid: card.device for card in cards},
        used={uuid: amounts for uuid, amounts in used.items() if amounts.slots},
        given=[[hooks.share(context, state, charge) for state, charge in taken]],
        card_policy=context.policy,
    )
    return hooks.node_score(outlook)


@dataclass(frozen=True, slots=True)
class _Purse:
    """The room for a request while the pod's cards stand so; what was beyond it is noted in ``beyond``."""

    room: Room
    states: Sequence[CardState]
    beyond: list[Amounts]

    def allows(self, taken: _Taken) -> bool:
        """Whether the pod's charge stays within the room when this is added to what it was given already."""
        if self.room is NO_LIMIT:
            return True
        charged = _charged(self.states, taken)
        if self.room.allows(charged):
            return True
        self.beyond.append(charged)
        return False

    def sentence(self) -> str:
        """The least that was beyond it, in words; empty when nothing was."""
        if not self.beyond:
            return ""
        least = min(self.beyond, key=lambda charged: (charged.memory_mib, charged.cores, charged.slots))
        return self.room.sentence(least, "here ")


def _numa_groups(states: Sequence[CardState], *, apart: bool) -> list[list[CardState]]:
    """All cards as one group, or one group per NUMA node in the order in which the nodes come."""
    groups: dict[int, list[CardState]] = {}
    for state in states:
        groups.setdefault(state.device.numa if apart else 0, []).append(state)
    return list(groups.values())


def _passing(context: FitContext, group: Sequence[CardState], purse: _Purse, counts: Counter[Reason]) -> _Taken:
    """The cards that pass every check, in order. A greedy request stops as soon as it has enough."""
    passed: _Taken = []
    stop_early = context.profile.hooks.chooser(context) is None and purse.room is NO_LIMIT
    for state in group:
        charge = context.profile.hooks.charge(context, state.device)
        reason = refuse(context, state, charge)
        others: Sequence[Charge] = ()
        if reason is None and state.device.parts:
            found = context.profile.hooks.parts(context, state, charge)
            if isinstance(found, Reason):
                reason = found
            else:
                charge, *others = found
        if reason is None and not purse.allows([(state, charge)]):
            reason = Reason.RESOURCE_QUOTA_NOT_FIT
        if context.witness is not None:
            context.witness(context, state, charge, reason)
        if reason is not None:
            counts[reason] += 1
            continue
        passed.append((state, charge))
        passed += ((state, other) for other in others)
        if stop_early and len(passed) >= context.request.count:
            break
    return passed


def _choose(context: FitContext, passed: _Taken, purse: _Purse) -> _Taken | Refusal:
    """The chooser's n, or the first n; where only quota stands against it, those of the n that cost least."""
    wanted = context.request.count
    if len(passed) < wanted:
        return Refusal(Reason.ALLOCATED_CARDS_INSUFFICIENT)
    taken = _selected(context, passed)
    if isinstance(taken, Refusal) or purse.allows(taken):
        return taken
    cheapest = _selected(context, sorted(passed, key=lambda item: (item[1].memory_mib, item[1].cores))[:wanted])
    if isinstance(cheapest, Refusal) or not purse.allows(cheapest):
        return Refusal(Reason.RESOURCE_QUOTA_NOT_FIT)
    return cheapest


def _selected(context: FitContext, passed: _Taken) -> _Taken | Refusal:
    """What the family's chooser, or the order alone, makes of the candidates."""
    wanted, hooks = context.request.count, context.profile.hooks
    chooser = hooks.chooser(context)
    if chooser is None:
        return passed[:wanted]
    chosen = chooser([state for state, _ in passed], wanted)
    if chosen is None or isinstance(chosen, Reason):
        return Refusal(chosen or hooks.no_choice)
    if isinstance(chosen, Refusal):
        return chosen
    charges: dict[str, list[Charge]] = {}
    for state, charge in reversed(passed):
        charges.setdefault(state.device.uuid, []).append(charge)
    return [(state, charges[state.device.uuid].pop()) for state in chosen]


def _charged(states: Sequence[CardState], taken: _Taken) -> Amounts:
    """What the pod is charged for this family when ``taken`` is added to what it was given already."""
    extra: dict[str, Amounts] = {}
    for state, charge in taken:
        more = Amounts(1, charge.memory_mib, charge.cores)
        extra[state.device.uuid] = added(extra.get(state.device.uuid, NOTHING), more)
    total = NOTHING
    for state in states:
        steady = added(state.own_steady, extra.get(state.device.uuid, NOTHING))
        total = added(total, larger(steady, state.own_peak))
    return total
