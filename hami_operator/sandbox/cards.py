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

#: Kubelet devices per card, and the most containers that may share it (HAMi's chart: deviceSplitCount).
SLOTS = 10


@dataclass(frozen=True, slots=True)
class CardType:
    """A card model. ``name`` is what users write, ``product`` the name the vendor's library gives it."""

    name: str
    product: str
    memory_mib: int
    vendor: str = "nvidia"

    @property
    def habits(self) -> Habits:
        """What this vendor's device plugin does."""
        return HABITS[self.vendor]


CARD_TYPES = {
    card.name: card
    for card in (
        CardType("a100-40", "NVIDIA A100-SXM4-40GB", 40960),
        CardType("a100-80", "NVIDIA A100-SXM4-80GB", 81920),
        CardType("a30", "NVIDIA A30", 24576),
        CardType("h100", "NVIDIA H100 80GB HBM3", 81559),
        CardType("l40s", "NVIDIA L40S", 46068),
        CardType("t4", "Tesla T4", 15360),
    )
}


def card_type(name: str) -> CardType:
    """The card type of this name. Raises BadSpec, naming the types there are."""
    try:
        return CARD_TYPES[name]
    except KeyError:
        raise BadSpec(f"card type {name!r} is not known; known are {', '.join(sorted(CARD_TYPES))}") from None


def cards_of(node: str, card: CardType, count: int, release: Release) -> tuple[Device, ...]:
    """The cards of a node, as its plugin registers them: the first half on NUMA node 0, the second on 1."""
    habits = card.habits
    return tuple(
        Device(
            uuid=habits.card_id(uuid.uuid5(_CARDS, f"{node}/{index}")),
            index=index,
            slots=SLOTS,
            memory_mib=card.memory_mib,
            cores=habits.cores,
            type=habits.type_text(card.product, release),
            numa=0 if index * 2 < count else 1,
            mode=habits.mode,
        )
        for index in range(count)
    )
