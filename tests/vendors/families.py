"""What the contract suite must know of a family: how to draw its cards and amounts, and who may be given a card.

A new vendor adds one entry to ``FAMILIES``; without it the suite fails.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from hami_operator.config import DevicesSection
from hami_operator.core import protocol
from hami_operator.core.model import Device, DeviceRequest, Node, Share
from hami_operator.core.objects import read_node
from hami_operator.core.vendor import NOTHING, Amounts, Profile

#: Whether these cards, each of which may be given, may be given together.
Together = Callable[[Sequence[Device]], bool]

#: Whether a card may be given: (card, used of it, request). Written from the protocol, not from the engine.
MayHave = Callable[[Device, Amounts, DeviceRequest], bool]


@dataclass(frozen=True)
class Family:
    """One family under test. ``amounts`` draws what a container asks, by full resource name.

    ``together`` is there where cards are given in certain sets alone.
    """

    profile: Profile
    devices: st.SearchStrategy[Device]
    amounts: st.SearchStrategy[dict[str, Any]]
    may_have: MayHave
    encode: Callable[[Sequence[Device]], str]
    together: Together | None = None

    def __str__(self) -> str:
        return self.profile.key

    def cards(self, prefix: str, most: int = 4) -> st.SearchStrategy[list[Device]]:
        """One to ``most`` cards of a node, each with its own uuid and index."""
        return st.lists(self.devices, min_size=1, max_size=most).map(
            lambda drawn: [replace(card, uuid=f"{prefix}-{i}", index=i) for i, card in enumerate(drawn)]
        )

    def weight(self, share: Share) -> Amounts:
        """What a share counts as."""
        cores = share.cores.bit_count() if self.profile.core_masks else share.cores
        return Amounts(1, share.memory_mib, cores)

    def node(self, name: str, cards: Sequence[Device], annotations: Mapping[str, str] | None = None) -> Node:
        """A node that registers these cards in this order."""
        texts = {self.profile.register_key: self.encode(cards), **(annotations or {})}
        return read_node({"metadata": {"name": name, "annotations": texts}})


def generic_may_have(card: Device, used: Amounts, request: DeviceRequest) -> bool:
    """The rule most families share (HAMi v2.10, generic Fit): free shares, memory, cores; exclusive means alone."""
    memory = request.memory_mib
    if memory is None:
        memory = card.memory_mib * (100 if request.memory_percent is None else request.memory_percent) // 100
    cores = request.cores or 0
    exhausted = used.cores == card.cores > 0 and cores == 0
    alone = cores != 100 or used.slots == 0
    enough = used.memory_mib + memory <= card.memory_mib and used.cores + cores <= card.cores
    return card.healthy and used.slots < card.slots and enough and alone and not exhausted


def drawn(value: Any) -> st.SearchStrategy[Any]:
    """A strategy as it is, a value as the one there is."""
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


def card(**fields: Any) -> st.SearchStrategy[Device]:
    """A card with these fields, each a value or a strategy."""
    return st.builds(Device, **{name: drawn(value) for name, value in {"uuid": "", "index": 0, **fields}.items()})


often_healthy = st.sampled_from([True, True, True, False])


def amounts(count: str, rest: Mapping[str, Sequence[Any]], counts: Sequence[int] = (1, 2, 3)) -> Any:
    """A count, and of each other name one of its amounts; None: it is not named."""
    parts = {name: st.sampled_from(values) for name, values in rest.items()}
    return st.builds(
        lambda number, more: {count: number, **{name: value for name, value in more.items() if value is not None}},
        st.sampled_from(counts),
        st.fixed_dictionaries(parts),
    )


def _shares(profile: Profile, encode: Callable[[Sequence[Device]], str], **fields: Any) -> Family:
    """Cards that are shared by memory, its percentage and cores, whatever the names."""
    names = profile.names
    usual = {"slots": st.integers(1, 3), "memory_mib": st.sampled_from([500, 1000, 1000, 2000])}
    return Family(
        profile=profile,
        devices=card(**usual, healthy=often_healthy, mode="hami-core", **fields),
        amounts=amounts(
            names.count,
            {
                names.memory: [1, 250, 500, 999, 1000, 1001, None, None],
                names.memory_percent: [1, 33, 50, 100, None, None, None],
                names.cores: [0, 1, 30, 50, 100, None, None, None],
            },
        ),
        may_have=generic_may_have,
        encode=encode,
    )


def _nvidia(profile: Profile) -> Family:
    return _shares(
        profile,
        protocol.encode_devices_text,
        cores=st.sampled_from([100, 100, 150]),
        type=st.sampled_from(["NVIDIA-NVIDIA A30", "NVIDIA-Tesla T4"]),
        numa=st.integers(0, 1),
    )


@dataclass(frozen=True)
class InParts(Family):
    """Cards that are cut: a container may have several parts of one, and what is free of it is no matter of amounts."""

    model: str = ""

    def __str__(self) -> str:
        return f"{self.profile.key}-{self.model}"

    def node(self, name: str, cards: Sequence[Device], annotations: Mapping[str, str] | None = None) -> Node:
        bare = [
            replace(card, custom={k: v for k, v in card.custom.items() if k == protocol.MIG_PROFILES}) for card in cards
        ]
        return Family.node(self, name, bare, annotations)


def _mig(profile: Profile, model: str, encode: Callable[[Sequence[Device]], str], custom: Mapping[str, Any]) -> Family:
    """Cards as the profile itself reads them, so that they compare equal when they are read again."""
    names = profile.names
    whole = Device("GPU-x", 0, 7, 24576, 100, "NVIDIA-NVIDIA A30", mode="mig", custom=custom)
    text = {profile.register_key: encode([whole])}
    (read,) = profile.inventory(read_node({"metadata": {"name": "n", "annotations": text}}))
    sizes = [1, 3000, 6000, 9000, 13000, 24000, 30000, None, None, None]
    return InParts(
        profile=profile,
        devices=st.builds(replace, st.just(read), numa=st.integers(0, 1), healthy=st.sampled_from([True, True, False])),
        amounts=amounts(names.count, {names.memory: sizes}, range(1, 6)),
        may_have=generic_may_have,
        encode=encode,
        model=model,
    )


def _layouts(profile: Profile) -> Family:
    return _mig(profile, "layouts", protocol.encode_devices_text, {})


def _placements(profile: Profile) -> Family:
    profiles = [
        {"name": name, "memoryMB": memory, "core": core, "placements": [{"start": s, "size": size} for s in starts]}
        for name, memory, core, starts, size in (
            ("1g.6gb", 5952, 25, (0, 1, 2, 3), 1),
            ("2g.12gb", 12032, 50, (0, 2), 2),
            ("4g.24gb", 24125, 100, (0,), 4),
        )
    ]
    encode = functools.partial(protocol.encode_devices_json, family="NVIDIA")
    return _mig(profile, "placements", encode, {protocol.MIG_PROFILES: profiles})


def _volcano(profile: Profile) -> Family:
    return _shares(profile, _volcano_text, cores=100, type="NVIDIA-NVIDIA A30")


def _volcano_text(cards: Sequence[Device]) -> str:
    return "".join(f"{c.uuid},{c.slots},{c.memory_mib},{c.type},{str(c.healthy).lower()},{c.mode}:" for c in cards)


FAMILIES: Mapping[str, Sequence[Callable[[Profile], Family]]] = {
    "NVIDIA": (_nvidia, _layouts, _placements),
    "volcano-vgpu": (_volcano,),
}


def under_test() -> list[Family]:
    """Every family there is; one without an entry fails."""
    from tests.vendors import sharing_families as sharing
    from tests.vendors import topology_families as topology

    makers = {**FAMILIES, **{key: (make,) for key, make in sharing.FAMILIES.items()}, **topology.FAMILIES}
    profiles = DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()
    return [make(profile) for profile in profiles if profile.key not in sharing.ALIKE for make in makers[profile.key]]


def used_of(totals: Mapping[str, Amounts], card: Device) -> Amounts:
    """What is used of a card."""
    return totals.get(card.uuid, NOTHING)
