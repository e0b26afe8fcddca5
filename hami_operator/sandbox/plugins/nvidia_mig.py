"""HAMi's NVIDIA device plugin in its mode mig: cards cut as a whole, and from release 2.10 on part by part.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device-plugin/nvidiadevice, pkg/device/nvidia. Release 2.10 publishes what the
driver tells of each profile, reads the places from an annotation of their own, and adds what it made of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hami_operator.core.model import Device, Share
from hami_operator.core.protocol import MIG_PROFILES
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import annotations_of

from . import layouts, lists, nvidia
from .habits import Answer, Call, Desk, Json, inject_nothing, register

#: Which parts a pod gets, and behind them what the plugin made.
ALLOCATIONS = "hami.io/vgpu-mig-allocations"

#: The most parts of a card: the driver rounds the compute of each up.
_PARTS = 7
#: Memory slices of a card.
_SLICES = 8


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of part: MiB, percent of the compute, memory slices, and the slices it may begin at."""

    name: str
    memory_mib: int
    cores: int
    size: int
    starts: tuple[int, ...]

    @property
    def record(self) -> Json:
        """As it is published; the first number of its name are its compute slices."""
        return {
            "name": self.name,
            "memoryMB": self.memory_mib,
            "core": self.cores,
            "sliceCount": int(self.name.partition("g.")[0]),
            "placements": [{"start": start, "size": self.size} for start in self.starts],
        }


_ONES, _TWOS, _HALVES, _WHOLE = tuple(range(_PARTS)), (0, 2, 4), (0, 4), (0,)

#: Product -> profiles, as a recent driver tells them.
PROFILES = {
    "A100-SXM4-40GB": (
        Profile("1g.5gb", 4864, 14, 1, _ONES),
        Profile("2g.10gb", 9984, 29, 2, _TWOS),
        Profile("3g.20gb", 20096, 43, 4, _HALVES),
        Profile("7g.40gb", 40448, 100, 8, _WHOLE),
    ),
    "H100 80GB HBM3": (
        Profile("1g.10gb", 9856, 13, 1, _ONES),
        Profile("2g.20gb", 20096, 25, 2, _TWOS),
        Profile("3g.40gb", 40448, 46, 4, _HALVES),
        Profile("7g.80gb", 81152, 100, 8, _WHOLE),
    ),
}


def _profiles_of(card: Device) -> tuple[Profile, ...]:
    return next((profiles for product, profiles in PROFILES.items() if product in card.type), ())


def _places_itself(desk: Desk) -> bool:
    return desk.release.name == "2.10"


def _publish(desk: Desk) -> dict[str, str]:
    if not _places_itself(desk):
        return register(desk)
    cards = (
        replace(card, custom={MIG_PROFILES: [profile.record for profile in _profiles_of(card)]}) for card in desk.cards
    )
    return register(replace(desk, cards=tuple(cards)))


def _checked(cards: Sequence[Device]) -> dict[str, Device]:
    return {card.uuid: replace(card, cores=card.cores + _PARTS) for card in cards}


def _serve(desk: Desk, pod: Json, call: Call) -> Answer:
    answer = lists.serve(desk, pod, call)
    if _places_itself(desk):
        return _cut(desk, pod, answer)
    layouts.check(desk, answer.shares, layouts.HAMI)
    return replace(answer, injection=layouts.visible(answer.shares))


# -- each part by itself -----------------------------------------------------------------------------------------


def _cut(desk: Desk, pod: Json, answer: Answer) -> Answer:
    """Make each part where its record says, and write down what it has become. Raises AllocateFailed."""
    records = _records(pod)
    own = sorted(
        (record for record in records if record["containerIndex"] == answer.place.position),
        key=lambda record: int(record["deviceIndex"]),
    )
    if [record["gpuUUID"] for record in own] != [share.uuid for share in answer.shares]:
        raise AllocateFailed(f"annotation {ALLOCATIONS} and the list of container {answer.place.container} differ")
    parts: list[Share] = []
    for share, record in zip(answer.shares, own, strict=True):
        part = replace(share, uuid=f"{share.uuid}[{record['profile']}-{record['placement']['start']}]")
        profile = _profile(desk, part, record)
        _check_room(desk, part, profile, parts)
        parts.append(part)
        record |= {"migUUID": layouts.part_id(part), **_instance(record["placement"])}
    text = json.dumps(records, separators=(",", ":"))
    return replace(
        answer,
        shares=tuple(parts),
        injection=layouts.visible(parts),
        writes={**answer.writes, ALLOCATIONS: text},
    )


def _records(pod: Json) -> list[dict[str, Any]]:
    """The reservations, with all that the plugin needs of them."""
    text = annotations_of(pod).get(ALLOCATIONS, "")
    try:
        records: list[dict[str, Any]] = json.loads(text)
        wheres = {(record["containerIndex"], record["deviceIndex"]) for record in records}
        for record in records:
            _ = record["gpuUUID"], record["profile"], record["placement"]["start"], record["placement"]["size"]
    except (ValueError, TypeError, KeyError):
        raise AllocateFailed(f"annotation {ALLOCATIONS} is {text!r}: no list of parts in their places") from None
    if len(wheres) < len(records):
        raise AllocateFailed(f"annotation {ALLOCATIONS} names a device of a container twice")
    return records


def _profile(desk: Desk, part: Share, record: Mapping[str, Any]) -> Profile | None:
    """The profile of a part that the card can have; None for a card that is not here, of which the checker tells."""
    card = next((card for card in desk.cards if card.uuid == part.card), None)
    if card is None:
        return None
    place = record["placement"]
    for profile in _profiles_of(card):
        if profile.name == record["profile"] and profile.size == place["size"] and place["start"] in profile.starts:
            if (part.memory_mib, part.cores) != (profile.memory_mib, profile.cores):
                raise AllocateFailed(f"{part.uuid} has {profile.memory_mib} MiB and {profile.cores} % of the card")
            return profile
    raise AllocateFailed(f"{part.uuid} of {place['size']} slices is no place of the card")


def _check_room(desk: Desk, part: Share, profile: Profile | None, before: Iterable[Share]) -> None:
    """The driver makes no part where another one is."""
    if profile is None:
        return
    sizes = {each.name: each.size for card in desk.cards for each in _profiles_of(card)}
    wanted = _slices(part, sizes)
    for other in (*(tenant.share for tenant in desk.tenants(part.card)), *before):
        if other.card == part.card and wanted & _slices(other, sizes):
            raise AllocateFailed(f"{part.uuid} overlaps {other.uuid}, which is in use")


def _slices(part: Share, sizes: Mapping[str, int]) -> set[int]:
    name, _, start = part.place.rpartition("-")
    return set(range(int(start), int(start) + sizes[name]))


def _instance(place: Mapping[str, int]) -> dict[str, int]:
    """The ids of the driver: parts are numbered as in a tree, the whole card 0, its halves 1 and 2, and so on."""
    number = _SLICES // place["size"] - 1 + place["start"] // place["size"]
    return {"gpuInstanceID": number, "computeInstanceID": 0}


HABITS = replace(nvidia.HABITS, mode="mig", serve=_serve, publish=_publish, checked=_checked, inject=inject_nothing)
