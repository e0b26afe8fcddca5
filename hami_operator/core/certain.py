"""What a pod is charged whichever cards it gets: known before any node is looked at, for most pods and amounts."""

from __future__ import annotations

from collections.abc import Sequence

from .allocate import Demand, FamilyDemand
from .model import ContainerKind, DeviceRequest
from .vendor import NOTHING, Amounts, charge_as_asked, charge_nothing, pass_node, plain_share

#: Shares, MiB and cores, each None where the card decides.
Certain = tuple[int | None, int | None, int | None]

_NOTHING_CERTAIN: Certain = (None, None, None)


def certain_charges(demand: Demand) -> dict[str, Certain]:
    """Per family what is known. Init containers may share cards with others or not, so then nothing is."""
    return {family.profile.key: _of_family(family, demand.kinds) for family in demand.families}


def _of_family(family: FamilyDemand, kinds: Sequence[ContainerKind]) -> Certain:
    asking = [(kind, request) for kind, request in zip(kinds, family.requests, strict=True) if request is not None]
    if family.profile.hooks.node_gate is not pass_node:
        return _NOTHING_CERTAIN
    if len(asking) > 1 and any(kind is ContainerKind.INIT for kind, _ in asking):
        return _NOTHING_CERTAIN
    requests = [request for _, request in asking]
    memory, cores = _amounts(family, requests)
    return sum(request.count for request in requests), memory, cores


def _amounts(family: FamilyDemand, requests: Sequence[DeviceRequest]) -> tuple[int | None, int | None]:
    hooks = family.profile.hooks
    if hooks.share is not plain_share or hooks.charge not in (charge_as_asked, charge_nothing):
        return None, None
    if hooks.charge is charge_nothing:
        return 0, 0
    memory = [request.memory_mib for request in requests]
    counts = [request.count for request in requests]
    cores = sum(count * min(request.cores or 0, 100) for count, request in zip(counts, requests, strict=True))
    if None in memory:
        return None, cores
    return sum(count * (each or 0) for count, each in zip(counts, memory, strict=True)), cores


def at_least(certain: Certain) -> Amounts:
    """The known part as amounts, nothing where the card decides."""
    return Amounts(*(0 if part is None else part for part in certain)) if any(certain) else NOTHING
