"""What a pod of the API server says about its own cards: our record first, the vendors' keys for pods that lack it.

Malformed annotations block, they never free; annotations of a pod that is bound nowhere are not read at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import protocol
from .errors import InvalidRequest, ProtocolError
from .model import Allocation, Pod, Share
from .vendor import Profile


@dataclass(frozen=True, slots=True)
class Decoded:
    """A pod's allocation as read, and per family what could not be read."""

    allocation: Allocation = Allocation()
    problems: Mapping[str, str] = field(default_factory=dict, hash=False)


def decode_pod(pod: Pod, profiles: Sequence[Profile]) -> Decoded:
    """The allocation of a bound pod, for the families that its containers ask for.

    A pod that was annotated for another node than it runs on is not trusted: nothing is counted, and the problem says
    so. Problems are by family key.
    """
    names = {name for c in pod.containers for amounts in (c.limits, c.requests) for name in amounts}
    asked = [profile for profile in profiles if profile.named_in(names) and asks_for(pod, profile)]
    if not asked:
        return Decoded()
    annotated = pod.annotations.get(protocol.POD_NODE, pod.node_name)
    if annotated != pod.node_name:
        text = f"{protocol.POD_NODE} is {annotated!r} but the pod runs on {pod.node_name!r}: its cards are not counted"
        return Decoded(problems={profile.key: text for profile in asked})
    own = pod.annotations.get(protocol.OWN_ALLOCATION)
    if own is not None:
        return _own_record(own, asked)
    families: dict[str, tuple[tuple[Share, ...], ...]] = {}
    problems: dict[str, str] = {}
    for profile in asked:
        shares = pod.annotations.get(profile.allocated_key)
        if shares:
            try:
                families[profile.key] = _own_shares(profile, profiles, profile.shares_of(profile, pod, shares))
            except ProtocolError as error:
                problems[profile.key] = str(error)
    return Decoded(Allocation(families), problems)


def _own_shares(
    profile: Profile, profiles: Sequence[Profile], positions: tuple[tuple[Share, ...], ...]
) -> tuple[tuple[Share, ...], ...]:
    """What of a list is the family's own, by the type field of its records.

    HAMi: v2.7.0 appends the cards of a container's first family to the list of its second, so those of other families
    are left out. A list of nothing else tells nothing of the family's own cards.

    Raises:
        ProtocolError: the list names cards of other families alone.
    """
    if all(share.kind == profile.record_kind for shares in positions for share in shares):
        return positions
    others = {other.record_kind for other in profiles} - {profile.record_kind}
    own = tuple(tuple(share for share in shares if share.kind not in others) for shares in positions)
    if any(positions) and not any(own):
        kinds = sorted({share.kind for shares in positions for share in shares})
        raise ProtocolError(profile.allocated_key, 0, f"the list names cards of {', '.join(kinds)} alone")
    return own


def _own_record(text: str, asked: Sequence[Profile]) -> Decoded:
    try:
        families = protocol.decode_allocation(text).families
    except ProtocolError as error:
        return Decoded(problems={profile.key: str(error) for profile in asked})
    keys = [profile.key for profile in asked]
    return Decoded(Allocation({key: families[key] for key in keys if key in families}))


def asks_for(pod: Pod, profile: Profile) -> bool:
    """Whether any container names the family's count resource (an unreadable amount is a claim too)."""
    for container in pod.containers:
        try:
            if profile.request(container) is not None:
                return True
        except InvalidRequest:
            return True
    return False
