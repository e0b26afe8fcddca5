"""Generators of the contract suite for MetaX, Kunlunxin, AWS Neuron and Enflame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from hami_operator.allocators.sizes import Partition
from hami_operator.core import protocol
from hami_operator.core.model import Device, DeviceRequest, Node
from hami_operator.core.objects import read_node
from hami_operator.core.vendor import Amounts, Profile

from .families import Family, amounts, card, generic_may_have, often_healthy

#: More of every amount than the cards have: what the kubelet's counting refuses is told of no card.
PLENTY = "1000000"


@dataclass(frozen=True)
class Named(Family):
    """A family whose cards are called ``<node>-<word>-<index>``; ``most`` of them at most."""

    word: str = ""
    most: int = 4

    def __str__(self) -> str:
        return self.profile.key

    def cards(self, prefix: str, most: int = 4) -> st.SearchStrategy[list[Device]]:
        node = prefix.removesuffix("-card") if "-" in prefix else "n1"
        stem = f"{node}-{self.word}" if self.word else prefix
        return st.lists(self.devices, min_size=1, max_size=max(most, self.most)).map(
            lambda drawn: [
                self.at(replace(card, uuid=f"{stem}-{i}", index=i), len(drawn)) for i, card in enumerate(drawn)
            ]
        )

    def at(self, card: Device, cards: int) -> Device:
        """What a card's position on its node of so many makes of it."""
        return card


@dataclass(frozen=True)
class Reported(Named):
    """Cards that the kubelet counts: ``counts`` are resources with how many each card makes of them."""

    counts: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.profile.key}{self.variant}"

    def node(self, name: str, cards: Sequence[Device], annotations: Mapping[str, str] | None = None) -> Node:
        amounts = {resource: str(each * len(cards)) for resource, each in self.counts.items()}
        texts = {**self.published(cards), **(annotations or {})}
        return read_node(
            {
                "metadata": {"name": name, "annotations": texts, "labels": dict(self.labels)},
                "status": {"capacity": amounts, "allocatable": dict.fromkeys(amounts, PLENTY)},
            }
        )

    def published(self, cards: Sequence[Device]) -> dict[str, str]:
        """What the plugin tells of its cards beside their number."""
        return {}


def no_text(cards: Sequence[Device]) -> str:
    raise AssertionError("these cards register nothing")


def idle(device: Device, used: Amounts, request: DeviceRequest) -> bool:
    return device.healthy and used.slots == 0


def anything(cards: Sequence[Device]) -> bool:
    return True


# -- MetaX -------------------------------------------------------------------------------------------------------


def _whole(word: str, memory_mib: int) -> Callable[[Profile], Family]:
    """Cards that are counted and given whole, called ``<node>-<word>-<index>``."""

    def family(profile: Profile) -> Family:
        name = profile.names.count
        return Reported(
            profile=profile,
            devices=card(slots=1, memory_mib=memory_mib, cores=100, type=profile.key),
            amounts=amounts(name, {}, [1, 1, 2, 3]),
            may_have=idle,
            encode=no_text,
            word=word,
            counts={name: 1},
        )

    return family


def _metax_sgpu(profile: Profile) -> Family:
    names = profile.names
    memory = ["1Mi", "300Mi", "500Mi", "1000Mi", 1, None, None]
    return Family(
        profile=profile,
        devices=card(
            slots=st.integers(1, 3),
            memory_mib=st.sampled_from([500, 1000, 2000]),
            cores=100,
            type="Metax-SGPU",
            numa=st.integers(-1, 1),
            healthy=often_healthy,
            custom=st.integers(0, 2).map(lambda zone: {"zone": zone, "qos": ""}),
        ),
        amounts=amounts(names.count, {names.memory: memory, names.cores: [0, 10, 50, 100, None, None]}),
        may_have=generic_may_have,
        encode=_metax_list,
    )


def _metax_list(cards: Sequence[Device]) -> str:
    """MetaX's own list; a card's index is its place."""
    return json.dumps(
        [
            {
                "uuid": device.uuid,
                "model": "sgpu",
                "totalDevCount": device.slots,
                "totalCompute": device.cores,
                "totalVRam": device.memory_mib,
                "numa": device.numa,
                "healthy": device.healthy,
                "qosPolicy": device.custom["qos"],
                "linkZone": device.custom["zone"],
            }
            for device in sorted(cards, key=lambda device: device.index)
        ]
    )


# -- Kunlunxin ---------------------------------------------------------------------------------------------------

_QUADS = ({0, 1, 4, 5}, {2, 3, 6, 7}, {0, 2, 4, 6}, {1, 3, 5, 7}, {0, 3, 4, 7}, {1, 2, 5, 6})


def _wing(indexes: set[int]) -> bool:
    return len({index // 4 for index in indexes}) == 1


def _linked(cards: Sequence[Device]) -> bool:
    """One, two or four in a wing, a pair or a quad across, or all."""
    indexes = {device.index for device in cards}
    if len(indexes) == 2 and max(indexes) - min(indexes) == 4:
        return True
    return len(indexes) == 8 or indexes in _QUADS or (len(indexes) in (1, 2, 4) and _wing(indexes))


def _slices_go(cards: Sequence[Device]) -> bool:
    """As whole cards; three in a wing; more than four anywhere."""
    indexes = {device.index for device in cards}
    return _linked(cards) or len(indexes) > 4 or (len(indexes) == 3 and _wing(indexes))


@dataclass(frozen=True)
class Board(Reported):
    """Whole cards: the second half of a board is on the other NUMA node."""

    def at(self, card: Device, cards: int) -> Device:
        return replace(card, numa=int(card.index >= cards // 2))


def _kunlun(profile: Profile) -> Family:
    name = profile.names.count
    return Board(
        profile=profile,
        devices=card(slots=100, memory_mib=98304, cores=100, type="kunlun"),
        amounts=amounts(name, {}, [1, 1, 2, 2, 4, 8, 3]),
        may_have=idle,
        encode=no_text,
        together=_linked,
        word="kunlun",
        most=8,
        counts={name: 1},
    )


def _xpu(profile: Profile) -> Family:
    """Boards of six cards at most, whose handles never run out."""
    names = profile.names
    return Named(
        profile=profile,
        devices=card(slots=4, memory_mib=98304, cores=100, type="XPU", healthy=often_healthy),
        amounts=amounts(names.count, {names.memory: [None, 24576, 49152, 20000]}, [1, 1, 2, 3, 4, 5, 6]),
        may_have=_slice_fits,
        encode=lambda cards: protocol.encode_devices_json(cards, "XPU"),
        together=_slices_go,
        most=6,
    )


def _slice_fits(device: Device, used: Amounts, request: DeviceRequest) -> bool:
    asked = device.memory_mib if request.memory_mib is None else request.memory_mib
    size = next(size for size in (24576, 49152, 98304) if asked <= size)
    alike = used.slots == 0 or used.memory_mib == used.slots * size
    return device.healthy and alike and used.memory_mib + size <= device.memory_mib


# -- AWS Neuron --------------------------------------------------------------------------------------------------


def _row(cards: Sequence[Device]) -> bool:
    indexes = sorted(device.index for device in cards)
    return indexes == list(range(indexes[0], indexes[0] + len(indexes)))


def _block(cards: Sequence[Device]) -> bool:
    return len(cards) in (1, 4, 8, 16) and _row(cards) and min(device.index for device in cards) % len(cards) == 0


def _neuron(kind: str, variant: str, amounts: Any, together: Any, may_have: Any) -> Callable[[Profile], Family]:
    def family(profile: Profile) -> Family:
        names = profile.names
        return Reported(
            profile=profile,
            devices=card(slots=2, memory_mib=0, cores=2, type="AWSNeuron"),
            amounts=amounts.map(lambda drawn: {getattr(names, name): value for name, value in drawn.items()}),
            may_have=may_have,
            encode=no_text,
            together=together,
            word="AWSNeuron",
            most=8,
            counts={names.count: 1, names.cores: 2},
            labels={"node.kubernetes.io/instance-type": kind},
            variant=variant,
        )

    return family


def _cores_free(device: Device, used: Amounts, request: DeviceRequest) -> bool:
    return used.slots < device.slots and used.cores + (request.cores or 0) <= device.cores


_devices = st.sampled_from([1, 1, 2, 3, 4, 8]).map(lambda count: {"count": count})
_ring = _neuron("inf2.24xlarge", " ring", _devices, _row, idle)
_torus = _neuron("trn1.32xlarge", " torus", _devices, _block, idle)
_cores = _neuron(
    "trn1.32xlarge", " cores", st.sampled_from([1, 1, 2]).map(lambda cores: {"cores": cores}), anything, _cores_free
)


# -- Enflame -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Minors(Reported):
    """Cards of six slices, of which some don't work."""

    def published(self, cards: Sequence[Device]) -> dict[str, str]:
        minors = {str(device.index): device.custom["working"] for device in cards}
        return {self.profile.register_key: json.dumps(minors)}


def _enflame(profile: Profile) -> Family:
    names = profile.names
    shared = "enflame.com/shared-gcu"
    parts = [(16, 1), (33, 2), (50, 3), (66, 4), (83, 5), (100, 6)]
    return Minors(
        profile=profile,
        devices=st.sampled_from([6, 6, 6, 5, 0]).map(
            lambda working: Device(
                "", 0, 100, 100, 100, "Enflame", healthy=working > 0, custom={"slices": 6, "working": working}
            )
        ),
        amounts=st.one_of(
            st.sampled_from(parts).map(lambda part: {names.count: 1, names.memory: part[0], shared: part[1]}),
            st.just({names.count: 2, names.memory: 100, shared: 12}),
        ),
        may_have=_slices_fit,
        encode=no_text,
        word="enflame",
        counts={"enflame.com/gcu-count": 1, shared: 6},
    )


def _slices(percent: int) -> int:
    return -(-percent * 6 // 100)


def _slices_fit(device: Device, used: Amounts, request: DeviceRequest) -> bool:
    working = device.custom["working"]
    assert isinstance(working, int)
    return _slices(used.memory_mib) + _slices(request.memory_mib or 100) <= working


SIZES = (Partition(1, 6, "1g.6gb", "0"), Partition(3, 20, "3g.20gb", "1"), Partition(6, 40, "6g.40gb", "2"))


@dataclass(frozen=True)
class Cut(Named):
    """Cards that are cut hard; the minor is the index."""

    def at(self, card: Device, cards: int) -> Device:
        return replace(card, custom={**card.custom, "minor": card.index})


def _drs(profile: Profile) -> Family:
    name = profile.names.count
    return Cut(
        profile=profile,
        devices=card(slots=6, memory_mib=40960, cores=100, type="Enflame", custom={"minor": 0, "partitions": SIZES}),
        amounts=amounts(name, {}, [1, 1, 2, 3, 6]),
        may_have=_partition_fits,
        encode=_drs_text,
        word="enflame-drs",
    )


def _drs_text(cards: Sequence[Device]) -> str:
    devices = [
        {"index": str(device.index), "minor": str(device.custom["minor"]), "capacity": device.slots} for device in cards
    ]
    return json.dumps({"devices": devices, "profiles": {size.name: size.number for size in SIZES}})


def _partition_fits(device: Device, used: Amounts, request: DeviceRequest) -> bool:
    size = next((size for size in SIZES if size.slices == request.slices), None)
    if size is None:
        return False
    memory = used.memory_mib + size.gib * 1024 <= device.memory_mib
    return memory and _slices(used.cores) + size.slices <= device.slots


#: By family key, one or several kinds of nodes and requests each.
FAMILIES: Mapping[str, Sequence[Callable[[Profile], Family]]] = {
    "GCU": (_whole("GCU", 100),),
    "Enflame": (_enflame,),
    "Enflame-DRS": (_drs,),
    "Metax-GPU": (_whole("metax", 65536),),
    "Metax-SGPU": (_metax_sgpu,),
    "kunlun": (_kunlun,),
    "XPU": (_xpu,),
    "AWSNeuron": (_ring, _torus, _cores),
}
