"""What a family may do in its own way: the hooks, their defaults, and ready-made ones that several families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from . import protocol
from .fit import NOTHING, Amounts, CardState, Charge, Chooser, FitContext, Grant, Outlook, added, larger
from .model import Container, ContainerKind, Device, DeviceRequest, Pod, Share
from .reasons import Reason

if TYPE_CHECKING:
    from .vendor import Profile


@dataclass(frozen=True, slots=True)
class Admission:
    """What a family's admission makes of one container.

    ``resources`` (name -> plain number) are to stand in limits and requests alike; ``env`` is appended where the name
    is not set yet; ``annotations`` are added to the pod where absent; ``runtime_class`` is for a pod that has none.
    """

    claimed: bool = False
    resources: Mapping[str, int] = field(default_factory=dict, hash=False)
    env: tuple[tuple[str, str], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    runtime_class: str = ""
    warnings: tuple[str, ...] = ()


def admit_as_is(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Default of hook 1: the container is ours when it names the count resource; its request must be readable."""
    return Admission(claimed=profile.request(container) is not None)


def pass_node(context: FitContext) -> Reason | DeviceRequest | None:
    """Default of hook 4: every node will do, and the request means there what it says."""
    return None


def charge_as_asked(context: FitContext, device: Device) -> Charge:
    """Default of hook 5: memory as asked, or the percentage of the card (floor); cores clamped to the whole card.

    HAMi v2.10 pkg/device/nvidia/device.go Fit: memory wins over percentage; over 100 cores mean 100.
    """
    request = context.request
    memory = request.memory_mib
    if memory is None:
        percent = 100 if request.memory_percent is None else request.memory_percent
        memory = device.memory_mib * percent // 100
    return Charge(memory, min(request.cores or 0, 100), device.cores)


def charge_whole(context: FitContext, device: Device) -> Charge:
    """A ready-made hook 5: the whole card, whatever was asked."""
    return Charge(device.memory_mib, device.cores, device.cores)


def charge_nothing(context: FitContext, device: Device) -> Charge:
    """A ready-made hook 5: slots alone count."""
    return Charge(0, 0, device.cores)


def pass_card(context: FitContext, state: CardState) -> Reason | None:
    """Default of hook 6: nothing special about the card."""
    return None


def one_card(context: FitContext, state: CardState) -> Reason | None:
    """A ready-made hook 6: all containers of a pod share their cards, and the first goes where the others fit too."""
    if any(card.own_charge != NOTHING for card in context.cards):
        return None if state.own_charge != NOTHING else Reason.CUSTOM_FILTER_RULE
    if sum(request is not None for request in context.requests) < 2:
        return None
    need, device = _together(context, state.device), state.device
    free = (device.slots - state.used_slots, device.memory_mib - state.used_memory_mib, device.cores - state.used_cores)
    return None if all(asked <= left for asked, left in zip(need, free, strict=True)) else Reason.CUSTOM_FILTER_RULE


def _together(context: FitContext, device: Device) -> Amounts:
    """What all containers of the pod would be charged on one card."""
    steady = peak = NOTHING
    for container, request in zip(context.pod.containers, context.requests, strict=True):
        if request is not None:
            asked = replace(context, request=request)
            meant = context.profile.hooks.node_gate(asked)
            asked = replace(asked, request=meant) if isinstance(meant, DeviceRequest) else asked
            charge = context.profile.hooks.charge(asked, device)
            total = added(steady, Amounts(1, charge.memory_mib, charge.cores))
            if container.kind is ContainerKind.INIT:
                peak = larger(peak, total)
            else:
                steady = total
    return larger(steady, peak)


def greedy(context: FitContext) -> Chooser | None:
    """Default of hook 7: no chooser, the first cards in policy order are taken."""
    return None


def plain_share(context: FitContext, state: CardState, charge: Charge) -> Share:
    """Default of hook 8: the record holds what is charged."""
    profile, device = context.profile, state.device
    label = protocol.record_word(device.type) if profile.model_label else profile.record_kind
    uuid = f"{device.uuid}[{charge.place}]" if charge.place else device.uuid
    return Share(uuid, label, charge.memory_mib, charge.cores)


def one_part(context: FitContext, state: CardState, charge: Charge) -> Sequence[Charge] | Reason:
    """Default of the parts of a card that is cut: one, wherever it lies."""
    return (charge,)


def read_shares(profile: Profile, pod: Pod, text: str) -> tuple[tuple[Share, ...], ...]:
    """How a pod's device list is read where the list says all. Raises ProtocolError."""
    return protocol.decode_shares(profile.allocated_key, text)


def no_reach(devices: Sequence[Device]) -> int:
    """Default of a node's reach: the family knows no links."""
    return 0


def no_score(outlook: Outlook) -> float:
    """Default of hook 9: the family prefers no node. Higher is better; the engine gives the sign."""
    return 0.0


def annotate_lists(grant: Grant) -> dict[str, str]:
    """Default of hook 10: the two device lists of the protocol (to-allocate only where the family has one)."""
    text = protocol.encode_shares(grant.given)
    keys = (grant.profile.to_allocate_key, grant.profile.allocated_key)
    return {key: text for key in keys if key}


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a family may replace. Hook 2 (request) and 3 (inventory) are ``Profile`` fields that are mostly data.

    ``node_gate`` refuses a node, or tells what the request means on it where that is not what it says; ``no_choice``
    is the reason when cards enough would fit and the chooser finds no set among them. ``reach`` is the size of the
    largest linked group that a node's cards form, used or not.

    ``parts`` is asked of cards with ``Device.parts``, once all checks have let them pass: what of the card the request
    may have at once, up to its count, each with its place; or why nothing.
    """

    admit: Callable[[Profile, Container, Mapping[str, str]], Admission] = admit_as_is
    node_gate: Callable[[FitContext], Reason | DeviceRequest | None] = pass_node
    charge: Callable[[FitContext, Device], Charge] = charge_as_asked
    predicate: Callable[[FitContext, CardState], Reason | None] = pass_card
    parts: Callable[[FitContext, CardState, Charge], Sequence[Charge] | Reason] = one_part
    chooser: Callable[[FitContext], Chooser | None] = greedy
    share: Callable[[FitContext, CardState, Charge], Share] = plain_share
    no_choice: Reason = Reason.ALLOCATED_CARDS_INSUFFICIENT
    node_score: Callable[[Outlook], float] = no_score
    reach: Callable[[Sequence[Device]], int] = no_reach
    annotate: Callable[[Grant], dict[str, str]] = annotate_lists
