"""Enflame GCUs: whole cards, or percentages of a card in slices.

Sources: HAMi v2.7.0 pkg/device/enflame/{gcu,device}.go; EnflameTechnology/gcushare v3.6.5, the plugin, which takes one
list of cards per pod. HAMi's slices are those of the node it saw last, its cards are numbered as if none were missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from hami_operator.core import protocol
from hami_operator.core.capacity import MOST_CARDS, CountedCards, reported
from hami_operator.core.errors import InvalidRequest, ProtocolError
from hami_operator.core.jsonfields import read_json, read_number
from hami_operator.core.model import Container, Device, DeviceRequest, Node
from hami_operator.core.reasons import Reason
from hami_operator.core.request import amount, read_request
from hami_operator.core.vendor import (
    GENERIC_CHECKS,
    Admission,
    CardState,
    Check,
    FitContext,
    Grant,
    Hooks,
    Profile,
    ResourceNames,
    SelectionKeys,
    annotate_lists,
    charge_whole,
    one_card,
)

SECTION = "enflame"
WHOLE_KEY = "GCU"
KEY = "Enflame"

#: What the sharing plugin advertises: slices of all cards, and cards.
SLICES_NAME = "enflame.com/shared-gcu"
CARDS_NAME = "enflame.com/gcu-count"
#: Its node annotation: the cards' minors with their healthy slices.
SHARED_CAPACITY = "enflame.com/gcu-shared-capacity"

ASSIGNED = "enflame.com/gcu-assigned"
ASSIGNED_TIME = "enflame.com/gcu-assigned-time"
#: The cards of the pod: the plugin reads the first up to v3.6.4 and the second from v3.6.5 on.
CARD_KEYS = ("enflame.com/gcu-assigned-id", "enflame.com/gcu-assigned-minor", "enflame.com/gcu-assigned-index")
REQUEST_SIZE = "enflame.com/gcu-request-size"
#: Which containers have their card, written by the plugin.
CONTAINERS = "assigned-containers"

#: A card in percent, of memory and compute alike.
CARD = Device("", 0, 1, 100, 100, WHOLE_KEY)
SHARERS = 100


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``enflame`` section of the device configuration; ``slices`` is the plugin's ``--slice-count``."""

    whole_name: str
    count_name: str
    percentage_name: str
    slices: int


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The family of whole cards, and that of shares."""
    return (
        Profile(
            key=WHOLE_KEY,
            names=ResourceNames(settings.whole_name),
            to_allocate_key="hami.io/enflame-gcu-devices-to-allocate",
            allocated_key="hami.io/enflame-gcu-devices-allocated",
            request_of=read_request,
            inventory_of=CountedCards(WHOLE_KEY, CARD).devices,
            checks=(Check.HEALTH, Check.CORDON, Check.IDLE),
            hooks=Hooks(charge=charge_whole),
        ),
        Profile(
            key=KEY,
            names=ResourceNames(settings.count_name, memory=settings.percentage_name),
            register_key=SHARED_CAPACITY,
            allocated_key="hami.io/enflame-vgpu-devices-allocated",
            lock_key=protocol.OWN_LOCK.format("enflame-vgpu"),
            served_key=ASSIGNED,
            live_name=SLICES_NAME,
            byte_suffixes=frozenset(),
            request_of=_request,
            inventory_of=_shared_cards,
            selection=SelectionKeys(use_uuid="enflame.com/use-gpuuuid", nouse_uuid="enflame.com/nouse-gpuuuid"),
            extra_keys=(ASSIGNED, ASSIGNED_TIME, *CARD_KEYS, REQUEST_SIZE, CONTAINERS),
            tenant_keys=(),
            checks=GENERIC_CHECKS,
            hooks=Hooks(
                admit=partial(_admit, settings.slices),
                node_gate=_same_slices,
                predicate=_has_slices,
                annotate=_annotate,
            ),
        ),
    )


# -- what is asked -----------------------------------------------------------------------------------------------


def _request(profile: Profile, container: Container) -> DeviceRequest | None:
    """Percent of a card, of each where there are several; none is the whole card."""
    count = amount(container, profile.names.count, 1, protocol.INT32_MAX)
    percent = amount(container, profile.names.memory, 1, 100)
    return None if count is None else DeviceRequest(count, percent or 100)


def slices_of(percent: int, per_card: int) -> int:
    """The slices that hold so many percent: 33 % of six are two, 34 % are three."""
    return -(-percent * per_card // 100)


def _admit(per_card: int, profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """The percentage is rounded up to slices, and the slices are asked for, which the plugin is called by."""
    request, names = profile.request(container), profile.names
    if request is None:
        return Admission()
    percent = request.memory_mib or 100
    if request.count > 1 and percent < 100:
        raise InvalidRequest(
            f"container {container.name!r}: {names.memory} is {percent} with {names.count} {request.count}, "
            f"allowed is 100 with more than one card"
        )
    slices = slices_of(percent, per_card)
    return Admission(
        claimed=True,
        resources={names.memory: 100 * slices // per_card, SLICES_NAME: slices * request.count},
    )


def _same_slices(context: FitContext) -> Reason | None:
    """The slices that admission wrote must be those of this node's cards, or the plugin is asked for another part."""
    per_card = _slices(context.cards[0].device)
    for container, request in zip(context.pod.containers, context.requests, strict=True):
        if request is not None:
            written = amount(container, SLICES_NAME, 0, protocol.INT32_MAX)
            if written != request.count * slices_of(request.memory_mib or 100, per_card):
                return Reason.MODE_NOT_FIT
    return None


# -- the cards ---------------------------------------------------------------------------------------------------


def _shared_cards(profile: Profile, node: Node) -> tuple[Device, ...]:
    """By the minors that the plugin publishes, else as many as it counts."""
    count, total = reported(node, CARDS_NAME), reported(node, SLICES_NAME)
    if count > MOST_CARDS:
        raise ProtocolError(CARDS_NAME, 0, f"{count} cards, allowed are {MOST_CARDS}")
    working = _healthy_slices(node)
    per_card = total // count if count else max(working.values(), default=0)
    if not per_card:
        return ()
    return tuple(
        Device(
            uuid=f"{node.name}-enflame-{minor}",
            index=minor,
            slots=SHARERS,
            memory_mib=CARD.memory_mib,
            cores=CARD.cores,
            type=KEY,
            healthy=healthy > 0,
            custom={"slices": per_card, "working": healthy},
        )
        for minor, healthy in sorted((working or dict.fromkeys(range(count), per_card)).items())
    )


def _healthy_slices(node: Node) -> dict[int, int]:
    """Minor -> healthy slices; empty where the node publishes none. Raises ProtocolError."""
    content = read_json(SHARED_CAPACITY, node.annotations.get(SHARED_CAPACITY) or "{}")
    if not isinstance(content, dict) or len(content) > MOST_CARDS:
        raise ProtocolError(SHARED_CAPACITY, 0, "the text is no JSON object of minors and slices")
    return {
        read_number(SHARED_CAPACITY, 0, "minor", minor): read_number(SHARED_CAPACITY, 0, f"slices of {minor}", slices)
        for minor, slices in content.items()
    }


def _slices(device: Device, name: str = "slices") -> int:
    value = device.custom.get(name)
    return value if isinstance(value, int) else 0


def _has_slices(context: FitContext, state: CardState) -> Reason | None:
    """All containers of a pod on one card; and slices, not percent, are what must not be given twice."""
    per_card, device = _slices(state.device), state.device
    used = sum(slices_of(tenant.share.memory_mib, per_card) for tenant in state.tenants)
    if used + slices_of(context.request.memory_mib or 100, per_card) > _slices(device, "working"):
        return Reason.CARD_INSUFFICIENT_MEMORY
    return one_card(context, state)


# -- what is written ---------------------------------------------------------------------------------------------


def _annotate(grant: Grant) -> dict[str, str]:
    """HAMi writes the cards of the first container, and nothing when that has none; here it is the first that has."""
    first = next(shares for shares in grant.given if shares)
    shares = [share for shares in grant.given for share in shares]
    size = sum(slices_of(share.memory_mib, _slices(grant.devices[share.card])) for share in shares)
    own = {ASSIGNED: "false", ASSIGNED_TIME: grant.nanoseconds, REQUEST_SIZE: str(size)}
    return annotate_lists(grant) | own | dict.fromkeys(CARD_KEYS, grant.indexes(first))
