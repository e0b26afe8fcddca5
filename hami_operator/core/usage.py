"""What a pod holds of each card: app containers and sidecars together, or an init container, whichever is larger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from .model import Allocation, ContainerKind, Pod, Share
from .vendor import NOTHING, Amounts, Profile, Tenant, added, larger

#: family -> card uuid -> what is held of it
Holdings = Mapping[str, Mapping[str, Amounts]]
#: family -> card uuid -> the shares on it, of families that ask for them
Tenancies = Mapping[str, Mapping[str, tuple[Tenant, ...]]]


def holdings(
    allocation: Allocation, kinds: Sequence[ContainerKind], *, init_done: bool, masks: Collection[str] = ()
) -> Holdings:
    """What the pod holds now, per family and card.

    Per card it is the larger of (sum of app containers and sidecars) and each init container with the sidecars
    started before it; once the init containers are done they hold nothing. ``kinds`` are the container kinds by wire
    position; a list that knows only the app containers (HAMi 2.7) is read as such, one of another length is attributed
    to the pod as a whole. ``masks`` are the families whose shares write their cores as a bit mask.
    """
    return {
        family: _card_holdings(_living(positions, kinds, init_done=init_done), masked=family in masks)
        for family, positions in allocation.families.items()
    }


def tenancies(
    pod: Pod, allocation: Allocation, profiles: Iterable[Profile], *, init_done: bool | None = None
) -> Tenancies:
    """The pod's shares one by one, of these families; ``init_done`` as the pod says unless given."""
    kinds = [container.kind for container in pod.containers]
    done = pod.init_done if init_done is None else init_done
    found: dict[str, dict[str, tuple[Tenant, ...]]] = {}
    for profile in profiles:
        positions = allocation.families.get(profile.key)
        if positions is None:
            continue
        marks, cards = profile.marks(pod), found.setdefault(profile.key, {})
        for _, shares in _living(positions, kinds, init_done=done and not profile.part_tenants):
            for share in shares:
                if share.place or not profile.part_tenants:
                    cards[share.card] = (*cards.get(share.card, ()), Tenant(share, marks))
        if not cards:
            del found[profile.key]
    return found


_Parts = list[tuple[ContainerKind, Sequence[Share]]]


def _living(positions: Sequence[Sequence[Share]], kinds: Sequence[ContainerKind], *, init_done: bool) -> _Parts:
    """The containers that still hold their shares."""
    known = _kinds_for(len(positions), kinds)
    parts = zip(known, positions, strict=True)
    return [(kind, shares) for kind, shares in parts if not (init_done and kind is ContainerKind.INIT)]


def _kinds_for(positions: int, kinds: Sequence[ContainerKind]) -> Sequence[ContainerKind]:
    if positions == len(kinds):
        return kinds
    apps = [kind for kind in kinds if kind is ContainerKind.APP]
    return apps if positions == len(apps) else [ContainerKind.APP] * positions


def _card_holdings(parts: _Parts, *, masked: bool) -> Mapping[str, Amounts]:
    steady: dict[str, Amounts] = {}
    peak: dict[str, Amounts] = {}
    for kind, shares in parts:
        held: dict[str, Amounts] = {}
        for share in shares:
            cores = share.cores.bit_count() if masked else share.cores
            held[share.card] = added(held.get(share.card, NOTHING), Amounts(1, share.memory_mib, cores))
        for card, amounts in held.items():
            total = added(steady.get(card, NOTHING), amounts)
            if kind is ContainerKind.INIT:
                peak[card] = larger(peak.get(card, NOTHING), total)
            else:
                steady[card] = total
    return {card: larger(steady.get(card, NOTHING), peak.get(card, NOTHING)) for card in {**peak, **steady}}
