"""One request on one node: which of the family's cards it takes, in policy order, or why none will do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .checks import refuse
from .reasons import Reason, Refusal, card_refusals
from .room import NO_LIMIT, Room
from .score import card_order
from .vendor import NOTHING, Amounts, CardState, Charge, Chooser, FitContext, Outlook, added, larger

Taken = list[tuple[CardState, Charge]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, how its family chooses (None: in order), and the room for it while the pod's cards stand so.

    What was beyond the room is noted in ``beyond``.
    """

    context: FitContext
    states: Sequence[CardState]
    chooser: Chooser | None
    room: Room
    beyond: list[Amounts] = field(default_factory=list)

    def allows(self, taken: Taken) -> bool:
        """Whether the pod's charge stays within the room when this is added to what it was given already."""
        if self.room is NO_LIMIT:
            return True
        charged = _charged(self.states, taken)
        if self.room.allows(charged):
            return True
        self.beyond.append(charged)
        return False

    def sentence(self) -> str:
        """The least that was beyond the room, in words; empty when nothing was."""
        if not self.beyond:
            return ""
        least = min(self.beyond, key=lambda charged: (charged.memory_mib, charged.cores, charged.slots))
        return self.room.sentence(least, "here ")


def take(context: FitContext, states: Sequence[CardState], room: Room) -> Taken | tuple[Refusal, ...]:
    """The cards for one request, or the refusals of this node.

    With NUMA binding the first group that can serve it does; where a chooser looks for more than room, the group whose
    set the family would prefer between nodes.
    """
    wanted, offered = context.request.count, len(states)
    if wanted > offered and wanted > sum(max(state.device.parts, 1) for state in states):
        return (Refusal(Reason.NODE_INSUFFICIENT_DEVICE, detail=f"{offered} cards, {wanted} asked"),)
    counts: Counter[Reason] = Counter()
    details: dict[Reason, str] = {}
    found: list[Taken] = []
    asked = _Asked(context, states, context.profile.hooks.chooser(context), room)
    ordered = card_order(context, states)
    groups = _by_numa(ordered) if context.selection.numa_bind else [ordered]
    for group in groups:
        passed = _passing(asked, group, counts)
        taken = _choose(asked, passed)
        if isinstance(taken, list):
            found.append(taken)
            if asked.chooser is None:
                break
        elif passed:
            short = taken.reason is Reason.ALLOCATED_CARDS_INSUFFICIENT and group is not groups[-1]
            reason = Reason.NUMA_NOT_FIT if short else taken.reason
            counts[reason] += len({state.device.uuid for state, _ in passed})
            details[reason] = taken.detail
    if found:
        return found[0] if len(found) == 1 else max(found, key=lambda taken: _worth(context, taken))
    details[Reason.RESOURCE_QUOTA_NOT_FIT] = asked.sentence()
    return card_refusals(counts, offered, details)


def _by_numa(states: Sequence[CardState]) -> list[list[CardState]]:
    """One group per NUMA node, in the order in which the nodes come."""
    groups: dict[int, list[CardState]] = {}
    for state in states:
        groups.setdefault(state.device.numa, []).append(state)
    return list(groups.values())


def _worth(context: FitContext, taken: Taken) -> float:
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


def _passing(asked: _Asked, group: Sequence[CardState], counts: Counter[Reason]) -> Taken:
    """The cards that pass every check, in order. A greedy request stops as soon as it has enough."""
    passed: Taken = []
    context = asked.context
    stop_early = asked.chooser is None and asked.room is NO_LIMIT
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
        if reason is None and not asked.allows([(state, charge)]):
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


def _choose(asked: _Asked, passed: Taken) -> Taken | Refusal:
    """The chooser's n, or the first n; where only quota stands against it, those of the n that cost least."""
    wanted = asked.context.request.count
    if len(passed) < wanted:
        return Refusal(Reason.ALLOCATED_CARDS_INSUFFICIENT)
    taken = _selected(asked, passed)
    if isinstance(taken, Refusal) or asked.allows(taken):
        return taken
    cheapest = _selected(asked, sorted(passed, key=lambda item: (item[1].memory_mib, item[1].cores))[:wanted])
    if isinstance(cheapest, Refusal) or not asked.allows(cheapest):
        return Refusal(Reason.RESOURCE_QUOTA_NOT_FIT)
    return cheapest


def _selected(asked: _Asked, passed: Taken) -> Taken | Refusal:
    """What the family's chooser, or the order alone, makes of the candidates."""
    wanted = asked.context.request.count
    if asked.chooser is None:
        return passed[:wanted]
    chosen = asked.chooser([state for state, _ in passed], wanted)
    if chosen is None or isinstance(chosen, Reason):
        return Refusal(chosen or asked.context.profile.hooks.no_choice)
    if isinstance(chosen, Refusal):
        return chosen
    charges: dict[str, list[Charge]] = {}
    for state, charge in reversed(passed):
        charges.setdefault(state.device.uuid, []).append(charge)
    return [(state, charges[state.device.uuid].pop()) for state in chosen]


def _charged(states: Sequence[CardState], taken: Taken) -> Amounts:
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
