"""Vastai accelerators: whole cards, or dies of a card that are best given from one card.

Sources: HAMi v2.10.0 pkg/device/vastai/device.go. A node registers cards, or dies (``custominfo`` with
``DeviceStrategy: die`` and the physical card under ``AIC``).
"""

from __future__ import annotations

from hami_operator.allocators.zones import Spill, grouped, togetherness
from hami_operator.core import protocol
from hami_operator.core.model import Device
from hami_operator.core.reasons import Reason
from hami_operator.core.request import read_request, registered_whole_devices
from hami_operator.core.vendor import (
    WHOLE_CHECKS,
    CardState,
    Check,
    Chooser,
    CountName,
    FitContext,
    Hooks,
    Outlook,
    Profile,
    SelectionKeys,
    charge_nothing,
)

SECTION = "vastai"
KEY = "Vastai"

#: The ``vastai`` section of the device configuration.
Settings = CountName


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            register_key="hami.io/node-va-register",
            handshake_key="hami.io/node-handshake-va",
            to_allocate_key="hami.io/Vastai-devices-to-allocate",
            allocated_key="hami.io/Vastai-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=read_request,
            inventory_of=registered_whole_devices,
            selection=SelectionKeys(
                use_uuid="vastaitech.com/use-gpuuuid",
                nouse_uuid="vastaitech.com/nouse-gpuuuid",
                use_type="vastaitech.com/use-va",
                nouse_type="vastaitech.com/nouse-va",
            ),
            checks=(*WHOLE_CHECKS, Check.PREDICATE),
            hooks=Hooks(charge=charge_nothing, predicate=_whole_card_idle, chooser=_chooser, node_score=_score),
        ),
    )


def _card_of(device: Device) -> tuple[int, str] | None:
    """The physical card of a die, in an order in which 2 comes before 10; None for a whole card."""
    card = device.custom.get("AIC")
    if device.custom.get("DeviceStrategy") != "die" or not isinstance(card, str):
        return None
    return len(card), card


def _whole_card_idle(context: FitContext, state: CardState) -> Reason | None:
    """Under ``mutex`` the dies beside this one must be idle as well."""
    card = _card_of(state.device)
    if not context.policy.mutex or card is None:
        return None
    shared = any(other.used_slots and _card_of(other.device) == card for other in context.cards)
    return Reason.EXCLUSIVE_CONFLICT if shared else None


def _chooser(context: FitContext) -> Chooser | None:
    dies = any(_card_of(state.device) for state in context.cards)
    return grouped(_card_of, Spill.LARGEST_FIRST, context.cards) if dies else None


def _score(outlook: Outlook) -> float:
    return togetherness(outlook, _card_of)
