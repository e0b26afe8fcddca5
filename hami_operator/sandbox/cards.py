"""The card types a sandbox node can have, as the vendor's management library would report them.

A new type is one line here. What a vendor's plugin makes of a card (ids, type text) is its habit: ``plugins``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from hami_operator.core.model import Device

from .errors import BadSpec
from .plugins import HABITS, Habits, Release

#: Names the cards of a node: the same node name and index give the same card, on every machine.
_CARDS = uuid.UUID("5f0d1f0e-8b52-4b0a-9a3c-6f2f4b6f0a11")


@dataclass(frozen=True, slots=True)
class CardType:
    """A card model. ``name`` is what users write, ``product`` the name the vendor's library gives it.

    ``vendor`` is its plugin's line in ``plugins.HABITS``; ``cores`` are in the family's unit; ``slots`` are the
    kubelet's devices per card, and the most containers that may share it (HAMi's chart: deviceSplitCount).
    """

    name: str
    product: str
    memory_mib: int
    vendor: str = "nvidia"
    cores: int = 100
    slots: int = 10

    @property
    def habits(self) -> Habits:
        """What this vendor's device plugin does."""
        return HABITS[self.vendor]


CARD_TYPES = {
    card.name: card
    for card in (
        CardType("a100-40", "NVIDIA A100-SXM4-40GB", 40960),
        CardType("a100-80", "NVIDIA A100-SXM4-80GB", 81920),
        CardType("a100-40-mig", "NVIDIA A100-SXM4-40GB", 40960, "nvidia-mig"),
        CardType("a30", "NVIDIA A30", 24576),
        CardType("h100", "NVIDIA H100 80GB HBM3", 81559),
        CardType("l40s", "NVIDIA L40S", 46068),
        CardType("t4", "Tesla T4", 15360),
        CardType("h100-mig", "NVIDIA H100 80GB HBM3", 81559, "nvidia-mig"),
        CardType("a30-volcano", "NVIDIA A30", 24576, "volcano"),
        CardType("a30-volcano-mig", "NVIDIA A30", 24576, "volcano-mig"),
        CardType("mlu370", "MLU370-X8", 23296, "cambricon", slots=100),
        CardType("k100-ai", "K100_AI", 65520, "hygon", slots=4),
        CardType("z100l", "Z100L", 32752, "hygon", slots=4),
        CardType("mr-v100", "MR-V100", 32768, "iluvatar", slots=100),
        CardType("mr-v100-chip", "MR-V100", 32768, "iluvatar-MR-V100", slots=100),
        CardType("mr-v50-chip", "MR-V50", 16384, "iluvatar-MR-V50", slots=100),
        CardType("bi-v100-chip", "BI-V100", 32768, "iluvatar-BI-V100", slots=100),
        CardType("bi-v150-chip", "BI-V150", 65536, "iluvatar-BI-V150", slots=100),
        CardType("s60", "S60", 49152, "enflame-gcu", slots=1),
        CardType("s60-shared", "S60", 49152, "enflame-shared", slots=6),
        CardType("s60-drs", "S60", 40960, "enflame-drs", slots=6),
        CardType("s4000", "MTT S4000", 49152, "mthreads", cores=16, slots=100),
        CardType("metax-c500", "MXC500", 65536, "metax-gpu", slots=1),
        CardType("metax-c500-sgpu", "MXC500", 65536, "metax-sgpu", slots=16),
        CardType("kunlun-p800", "P800-OAM", 98304, "kunlun-xpu", slots=1),
        CardType("kunlun-p800-vxpu", "P800-OAM", 98304, "kunlun-vxpu", slots=4),
        CardType("inf1", "Inferentia", 0, "neuron-inf1", cores=4, slots=4),
        CardType("inf2", "Inferentia2", 0, "neuron-inf2", cores=2, slots=2),
        CardType("trn1", "Trainium", 0, "neuron-trn1", cores=2, slots=2),
        CardType("trn2", "Trainium2", 0, "neuron-trn2", cores=8, slots=8),
        CardType("mi300x", "AMD Instinct MI300X VF", 196288, "amd", cores=304),
        CardType("mi210", "AMD Instinct MI210", 65520, "amd", cores=104),
        CardType("br104", "Biren BR104", 65024, "biren", cores=0, slots=1),
        CardType("va1", "Vastai VA1", 0, "vastai", cores=0, slots=1),
        CardType("va1-die", "Vastai VA1", 0, "vastai-dies", cores=0, slots=1),
        CardType("ascend910a", "Ascend910A", 32768, "Ascend910A", cores=30, slots=15),
        CardType("ascend910b2", "Ascend910B2", 65536, "Ascend910B2", cores=24, slots=8),
        CardType("ascend910b3", "Ascend910B3", 65536, "Ascend910B3", cores=20, slots=4),
        CardType("ascend910b3-soft", "Ascend910B3", 65536, "Ascend910B3-soft", slots=10),
        CardType("ascend910b4", "Ascend910B4", 32768, "Ascend910B4", cores=20, slots=4),
        CardType("ascend910b4-1", "Ascend910B4-1", 65536, "Ascend910B4-1", cores=20, slots=4),
        CardType("ascend910c", "Ascend910C", 65536, "Ascend910C", cores=20, slots=4),
        CardType("ascend310p", "Ascend310P", 21527, "Ascend310P", cores=8, slots=7),
    )
}


def card_type(name: str) -> CardType:
    """The card type of this name. Raises BadSpec, naming the types there are."""
    try:
        return CARD_TYPES[name]
    except KeyError:
        raise BadSpec(f"card type {name!r} is not known; known are {', '.join(sorted(CARD_TYPES))}") from None


def cards_of(node: str, card: CardType, count: int, release: Release) -> tuple[Device, ...]:
    """The cards of a node, as its plugin registers them."""
    habits = card.habits
    return tuple(
        Device(
            uuid=habits.card_id(node, index, uuid.uuid5(_CARDS, f"{node}/{index}")),
            index=index,
            slots=card.slots,
            memory_mib=card.memory_mib,
            cores=card.cores,
            type=habits.type_text(card.product, release),
            numa=habits.numa_of(index, count),
            mode=habits.mode,
            custom=habits.facts(index, count),
        )
        for index in range(count)
    )
