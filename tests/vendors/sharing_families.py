"""Generators of the contract suite for families that share cards by the generic rule, or give them whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from hami_operator.core import protocol
from hami_operator.core.model import Device, DeviceRequest, Node
from hami_operator.core.objects import read_node
from hami_operator.core.vendor import Amounts, Profile

from .families import Family, amounts, card, generic_may_have, often_healthy


@dataclass(frozen=True)
class Counted(Family):
    """A family whose cards are counted from the amounts of the node: all alike, ``word`` in their ids.

    ``unit_mib`` is one of the memory amounts. Nodes have more of them allocatable than their cards have: what the
    amounts refuse is told of no card.
    """

    word: str = ""
    unit_mib: int = 1

    def __str__(self) -> str:
        return self.profile.key

    def cards(self, prefix: str, most: int = 4) -> st.SearchStrategy[list[Device]]:
        node = prefix.removesuffix("-card") if "-" in prefix else "n1"
        return st.builds(
            lambda card, count: [
                replace(card, uuid=f"{node}-{self.word}-{index}", index=index) for index in range(count)
            ],
            self.devices,
            st.integers(1, most),
        )

    def node(self, name: str, cards: Sequence[Device], annotations: Mapping[str, str] | None = None) -> Node:
        names = self.profile.names
        amounts = {
            names.cores: str(sum(card.cores for card in cards)),
            names.memory: str(sum(card.memory_mib for card in cards) // self.unit_mib),
        }
        plenty = dict.fromkeys(amounts, "1000000")
        return read_node(
            {
                "metadata": {"name": name, "annotations": dict(annotations or {})},
                "status": {"capacity": amounts, "allocatable": plenty},
            }
        )


def _counted(word: str, unit_mib: int, cores: int) -> Callable[[Profile], Family]:
    def family(profile: Profile) -> Family:
        names = profile.names
        return Counted(
            profile=profile,
            devices=card(
                slots=100,
                memory_mib=st.sampled_from([2 * unit_mib, 4 * unit_mib]),
                cores=cores,
                type=profile.key,
            ),
            amounts=amounts(names.count, {names.memory: [1, 2, 3, None], names.cores: [0, 1, cores // 4, cores, None]}),
            may_have=generic_may_have,
            encode=protocol.encode_devices_text,
            word=word,
            unit_mib=unit_mib,
        )

    return family


def _card(**fields: Any) -> st.SearchStrategy[Device]:
    usual: dict[str, Any] = {
        "slots": st.integers(1, 3),
        "memory_mib": st.sampled_from([500, 1000, 1000, 2000]),
        "cores": 100,
        "numa": st.integers(0, 1),
        "healthy": often_healthy,
    }
    return card(**{**usual, **fields})


def _registered(profile: Profile) -> Family:
    """By the generic rule, from a register annotation of records with commas."""
    names = profile.names
    unit = profile.memory_unit_mib
    return Family(
        profile=profile,
        devices=_card(
            type=st.sampled_from(["DCU-K100_AI", "DCU-Z100L"]),
            mode="hami",
            memory_mib=st.sampled_from([2 * unit, 4 * unit]),
        ),
        amounts=amounts(names.count, {names.memory: [1, 2, 3, None], names.cores: [0, 1, 50, 100, None]}),
        may_have=generic_may_have,
        encode=protocol.encode_devices_text,
    )


def _json(profile: Profile) -> Callable[[Sequence[Device]], str]:
    return lambda cards: protocol.encode_devices_json(cards, profile.key)


# -- AMD ---------------------------------------------------------------------------------------------------------


def _amd(profile: Profile) -> Family:
    names = profile.names
    return Family(
        profile=profile,
        devices=_card(type="AMD Instinct MI300X VF", cores=st.sampled_from([304, 304, 40, 304, 3, 0])),
        amounts=amounts(names.count, {names.memory: [1, 100, 250, None], names.cores: [1, 10, 33, 100, None]}),
        may_have=_amd_may_have,
        encode=_json(profile),
    )


def _amd_may_have(card: Device, used: Amounts, request: DeviceRequest) -> bool:
    """A part of the compute units, at least one; no exclusive card and no rule about none."""
    memory = card.memory_mib if request.memory_mib is None else request.memory_mib
    units = max(card.cores * (request.cores or 0) // 100, 1)
    enough = used.memory_mib + memory <= card.memory_mib and used.cores + units <= card.cores
    return card.healthy and used.slots < card.slots and enough


# -- whole cards -------------------------------------------------------------------------------------------------


def _whole_may_have(card: Device, used: Amounts, request: DeviceRequest) -> bool:
    return card.healthy and used.slots < card.slots


def _biren(profile: Profile) -> Family:
    return Family(
        profile=profile,
        devices=_card(type=st.sampled_from(["Biren", "BR104"])),
        amounts=amounts(profile.names.count, {}),
        may_have=_whole_may_have,
        encode=_json(profile),
    )


def _vastai(profile: Profile) -> Family:
    dies = st.sampled_from(["1", "2", "10"]).map(lambda card: {"DeviceStrategy": "die", "AIC": card})
    return Family(
        profile=profile,
        devices=_card(type="Vastai", memory_mib=0, custom=st.just({}) | dies),
        amounts=amounts(profile.names.count, {}),
        may_have=_whole_may_have,
        encode=_json(profile),
    )


# -- Ascend ------------------------------------------------------------------------------------------------------


class Dies(Family):
    """Cards that are dies of modules: few nodes have a module that is not whole."""

    def cards(self, prefix: str, most: int = 6) -> st.SearchStrategy[list[Device]]:
        return super().cards(prefix, most).filter(lambda cards: len(cards) > 2)


def _ascend(
    memory_mib: int, slices: Sequence[int], *, cores: int, counts: Sequence[int] = (1, 2, 3)
) -> Callable[[Profile], Family]:
    def may_have(card: Device, used: Amounts, request: DeviceRequest) -> bool:
        asked = memory_mib if request.memory_mib is None else request.memory_mib
        cost = next((mib for mib in (*slices, memory_mib) if asked <= mib), asked)
        return card.healthy and used.slots < card.slots and used.memory_mib + cost <= card.memory_mib

    def family(profile: Profile) -> Family:
        kind = Dies if profile.key == "Ascend910C" else Family
        networks = st.sampled_from([0, 1, 1.0]).map(lambda network: {"NetworkID": network})
        names = profile.names
        return kind(
            profile=profile,
            devices=_card(
                type=profile.key,
                memory_mib=memory_mib,
                cores=cores,
                custom=st.just({}) | networks,
                healthy=st.sampled_from([True] * 15 + [False]),
                slots=st.integers(2, 4),
            ),
            amounts=amounts(names.count, {names.memory: [1, 1, 1, *slices, memory_mib, None]}, counts),
            may_have=may_have,
            encode=_json(profile),
            together=_whole_modules if kind is Dies else None,
        )

    return family


def _whole_modules(chosen: Sequence[Device]) -> bool:
    """Dies of 910C come as modules, which are cards 0 and 1, 2 and 3, and so on."""
    dies = {card.index for card in chosen}
    return all(die ^ 1 in dies for die in dies)


FAMILIES: Mapping[str, Callable[[Profile], Family]] = {
    "MLU": _counted("cambricon-mlu", 256, 100),
    "DCU": _registered,
    "Iluvatar": _counted("iluvatar", 256, 100),
    "MR-V100": _registered,
    "Mthreads": _counted("mthreads", 512, 16),
    "AMD": _amd,
    "Biren": _biren,
    "Vastai": _vastai,
    "Ascend310P": _ascend(21527, (3072, 6144, 12288), cores=8),
    "Ascend910B3": _ascend(65536, (16384, 32768), cores=20),
    "Ascend910C": _ascend(65536, (16384, 32768), cores=20, counts=(2, 4)),
}

#: Families that differ in names and numbers alone from one that is under test.
ALIKE = frozenset({"MR-V50", "BI-V150", "BI-V100", "Ascend910A", "Ascend910B2", "Ascend910B4-1", "Ascend910B4"})
