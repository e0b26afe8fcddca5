"""What a card must pass for a request: one function per ``Check``, asked in the order of the family's profile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from .fit import CardState, Charge, FitContext
from .reasons import Reason
from .vendor import Check, Profile


def refuse(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    """The reason of the first check that fails, or None."""
    for check in _checks(context.profile):
        reason = check(context, state, charge)
        if reason is not None:
            return reason
    return None


@functools.cache
def _checks(profile: Profile) -> tuple[_CardCheck, ...]:
    """The profile's checks as functions, in its order."""
    return tuple(_CHECKS[check] for check in profile.checks)


def _health(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    return None if state.device.healthy else Reason.CARD_NOT_HEALTH


def _cordon(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    return Reason.CARD_CORDONED if state.device.uuid in context.cordoned else None


def _type(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    """Type words match as case-insensitive parts of the model; an empty mode of a card matches any mode."""
    selection, model = context.selection, state.device.type.lower()
    wanted = not selection.use_types or any(word in model for word in selection.use_types)
    refused = any(word in model for word in selection.nouse_types)
    mode_fits = not selection.modes or state.device.mode in selection.modes
    return None if wanted and not refused and mode_fits else Reason.CARD_TYPE_MISMATCH


def _uuid(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    selection, uuid = context.selection, state.device.uuid
    if (selection.use_uuids and uuid not in selection.use_uuids) or uuid in selection.nouse_uuids:
        return Reason.CARD_UUID_MISMATCH
    return None


def _slots(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    return Reason.CARD_TIME_SLICING_EXHAUSTED if state.used_slots >= state.device.slots else None


def _mutex(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    return Reason.EXCLUSIVE_CONFLICT if context.policy.mutex and state.used_slots else None


def _memory(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    if state.used_memory_mib > state.device.memory_mib:
        return Reason.CARD_OVER_ALLOCATED
    free = state.device.memory_mib - state.used_memory_mib
    return Reason.CARD_INSUFFICIENT_MEMORY if free < charge.memory_mib else None


def _cores(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    if state.used_cores > charge.total_cores:
        return Reason.CARD_OVER_ALLOCATED
    return Reason.CARD_INSUFFICIENT_CORE if charge.total_cores - state.used_cores < charge.cores else None


def _exclusive(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    """HAMi: v2.7.0 asks this only where the card has exactly 100 cores, so core scaling switched it off."""
    return Reason.EXCLUSIVE_CONFLICT if charge.cores == 100 and state.used_slots else None


def _zero_core(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    full = charge.total_cores != 0 and state.used_cores == charge.total_cores
    return Reason.CARD_COMPUTE_UNITS_EXHAUSTED if full and charge.cores == 0 else None


def _idle(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    return Reason.EXCLUSIVE_CONFLICT if state.used_slots else None


def _predicate(context: FitContext, state: CardState, charge: Charge) -> Reason | None:
    return context.profile.hooks.predicate(context, state)


_CardCheck = Callable[[FitContext, CardState, Charge], Reason | None]

_CHECKS: Mapping[Check, _CardCheck] = {
    Check.HEALTH: _health,
    Check.CORDON: _cordon,
    Check.TYPE: _type,
    Check.UUID: _uuid,
    Check.SLOTS: _slots,
    Check.MUTEX: _mutex,
    Check.MEMORY: _memory,
    Check.CORES: _cores,
    Check.EXCLUSIVE: _exclusive,
    Check.ZERO_CORE: _zero_core,
    Check.IDLE: _idle,
    Check.PREDICATE: _predicate,
}
