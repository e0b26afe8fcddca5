"""Scores of nodes and cards, and the order in which cards are tried. Ties are broken the same way for ever.

Formulas: HAMi v2.7.0 pkg/scheduler/policy (node_policy.go, gpu_policy.go); percentages are divided exactly here, and a
term without a total is 0 (the reference divides integers and by zero). Order as in v2.10: the score first, NUMA only
among equals, unless the request binds to one NUMA node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .model import Device, DeviceRequest
from .vendor import NOTHING, Amounts, CardState, FitContext

WEIGHT = 10.0


def node_score(families: Iterable[tuple[Iterable[Device], Mapping[str, Amounts]]]) -> float:
    """``10 x (shares used / slots + cores used / cores + memory used / memory)`` over all cards of a node.

    Of each family its cards, and by uuid what is used of them before the placement.
    """
    slots = cores = memory = used_slots = used_cores = used_memory = 0
    for cards, used in families:
        for card in cards:  # plain integers: this runs for every node that changed, at every decision
            slots += card.slots
            cores += card.cores
            memory += card.memory_mib
            held = used.get(card.uuid)
            if held is not None:
                used_slots += held[0]
                used_memory += held[1]
                used_cores += held[2]
    return WEIGHT * (_part(used_slots, slots) + _part(used_cores, cores) + _part(used_memory, memory))


def card_score(request: DeviceRequest, state: CardState) -> float:
    """``10 x ((asked + used) / total)`` summed over shares, cores and memory of one card."""
    device = state.device
    memory: float = 0 if request.memory_mib is None else request.memory_mib
    if request.memory_mib is None:
        percent = 100 if request.memory_percent is None else request.memory_percent
        memory = device.memory_mib * percent / 100
    score = (request.count + state.used_slots) / device.slots if device.slots else 0.0
    if device.cores:
        score += ((request.cores or 0) + state.used_cores) / device.cores
    if device.memory_mib:
        score += (memory + state.used_memory_mib) / device.memory_mib
    return WEIGHT * score


def _part(used: float, total: int) -> float:
    return used / total if total else 0.0


def card_order(context: FitContext, states: Sequence[CardState]) -> list[CardState]:
    """The cards in the order in which they are tried.

    binpack: the fullest first; spread: the emptiest first; among equals the highest (numa, index, uuid). Cards that
    the pod's own init containers had come first: using them again costs the pod nothing. With NUMA binding, binpack
    goes through the NUMA nodes upwards and spread downwards, inside them by score.
    """
    sign = 1.0 if context.policy.pack else -1.0
    by_numa = sign if context.selection.numa_bind else 0.0

    def rank(state: CardState) -> tuple[bool, float, float, int, int, str]:
        device = state.device
        return (
            state.own_peak != NOTHING,
            -by_numa * device.numa,
            sign * card_score(context.request, state),
            device.numa,
            device.index,
            device.uuid,
        )

    return sorted(states, key=rank, reverse=True)
