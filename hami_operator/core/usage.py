"""What a pod holds of each card: app containers and sidecars together, or an init container, whichever is larger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .model import Allocation, ContainerKind, Share
from .vendor import NOTHING, Amounts, added, larger

#: family -> card uuid -> what is held of it
Holdings = Mapping[str, Mapping[str, Amounts]]


def holdings(allocation: Allocation, kinds: Sequence[ContainerKind], *, init_done: bool) -> Holdings:
    """What the pod holds now, per family and card.

    Per card it is the larger of (sum of app containers and sidecars) and each init container with the sidecars
    started before it; once the init containers are done they hold nothing. ``kinds`` are the container kinds by wire
    position; a list that knows only the app containers (HAMi 2.7) is read as such, one of another length is attributed
    to the pod as a whole.
    """
    return {
        family: _card_holdings(positions, _kinds_for(len(positions), kinds), init_done=init_done)
        for family, positions in allocation.families.items()
    }


def _kinds_for(positions: int, kinds: Sequence[ContainerKind]) -> Sequence[ContainerKind]:
    if positions == len(kinds):
        return kinds
    apps = [kind for kind in kinds if kind is ContainerKind.APP]
    return apps if positions == len(apps) else [ContainerKind.APP] * positions


def _card_holdings(
    positions: Sequence[Sequence[Share]], kinds: Sequence[ContainerKind], *, init_done: bool
) -> Mapping[str, Amounts]:
    steady: dict[str, Amounts] = {}
    peak: dict[str, Amounts] = {}
    for shares, kind in zip(positions, kinds, strict=True):
        if kind is ContainerKind.INIT and init_done:
            continue
        held: dict[str, Amounts] = {}
        for share in shares:
            held[share.card] = added(held.get(share.card, NOTHING), Amounts(1, share.memory_mib, share.cores))
        for card, amounts in held.items():
            total = added(steady.get(card, NOTHING), amounts)
            if kind is ContainerKind.INIT:
                peak[card] = larger(peak.get(card, NOTHING), total)
            else:
                steady[card] = total
    return {card: larger(steady.get(card, NOTHING), peak.get(card, NOTHING)) for card in {**peak, **steady}}
