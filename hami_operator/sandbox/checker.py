"""The checker: what a node's plugin handed out, and whether it ever handed out what it does not have. Pure.

It shares no arithmetic with the scheduler, whose work it judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hami_operator.core.model import ContainerKind, Device, Share

#: A card may fall ill while a placement on it is on its way: only pods bound later than this are held against it.
HEALTH_GRACE_S = 5.0


class Amount(NamedTuple):
    """What is held of one card: containers, MiB, and cores in the family's unit."""

    slots: int = 0
    memory_mib: int = 0
    cores: int = 0

    def plus(self, other: Amount) -> Amount:
        """Both at once."""
        return Amount(*(a + b for a, b in zip(self, other, strict=True)))

    def or_more(self, other: Amount) -> Amount:
        """One after the other: the larger of each."""
        return Amount(*(max(a, b) for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Claim:
    """One container's cards as its plugin is about to hand them out.

    ``bound`` is the pod's bind time, unix seconds; ``note`` what the plugin remembers of it.
    """

    pod: str
    uid: str
    position: int
    container: str
    kind: ContainerKind
    shares: tuple[Share, ...]
    bound: float = 0.0
    note: str = ""


@dataclass(slots=True)
class Holding:
    """What one pod holds: its claims by container position."""

    claims: dict[int, Claim] = field(default_factory=dict)
    init_done: bool = False

    def amounts(self) -> dict[str, Amount]:
        """Per card: init containers run one after another, before the app containers and beside earlier sidecars."""
        beside: defaultdict[str, Amount] = defaultdict(Amount)
        peak: defaultdict[str, Amount] = defaultdict(Amount)
        for _, claim in sorted(self.claims.items()):
            own = _amounts(claim.shares)
            for uuid, amount in own.items():
                if claim.kind is ContainerKind.INIT:
                    if not self.init_done:
                        peak[uuid] = peak[uuid].or_more(beside[uuid].plus(amount))
                else:
                    beside[uuid] = beside[uuid].plus(amount)
        return {uuid: peak[uuid].or_more(beside[uuid]) for uuid in {*peak, *beside}}


def _amounts(shares: Iterable[Share]) -> dict[str, Amount]:
    held: defaultdict[str, Amount] = defaultdict(Amount)
    for share in shares:
        held[share.card] = held[share.card].plus(Amount(1, share.memory_mib, share.cores))
    return held


@dataclass(slots=True)
class Checker:
    """The books of one node. ``ill`` is the time (unix seconds) since which a card is unhealthy, by uuid.

    ``units`` are the words for what a family's cards have: slots, memory and cores, as its plugin counts them.
    """

    cards: Mapping[str, Device]
    holdings: dict[str, Holding] = field(default_factory=dict)
    ill: dict[str, float] = field(default_factory=dict)
    units: tuple[str, str, str] = ("slots", "MiB", "cores")

    def keep_only(self, live: Mapping[str, bool]) -> None:
        """Release what pods hold that live no more; ``live`` is pod uid -> whether its init containers have ended."""
        for uid in [uid for uid in self.holdings if uid not in live]:
            del self.holdings[uid]
        for uid, holding in self.holdings.items():
            holding.init_done = live[uid]

    def restore(self, claim: Claim) -> None:
        """Enter what was given out before a restart; it was checked then, and its pod may be gone by now."""
        self.holdings.setdefault(claim.uid, Holding()).claims[claim.position] = claim

    def claim(self, claim: Claim) -> list[str]:
        """Enter a claim into the books; or leave them as they are and return what is wrong with it."""
        wrong = self._wrong_cards(claim)
        if wrong:
            return wrong
        holding = self.holdings.get(claim.uid, Holding())
        after = Holding({**holding.claims, claim.position: claim}, holding.init_done)
        totals: defaultdict[str, Amount] = defaultdict(Amount)
        for other in (after, *(other for uid, other in self.holdings.items() if uid != claim.uid)):
            for uuid, amount in other.amounts().items():
                totals[uuid] = totals[uuid].plus(amount)
        wrong = [text for uuid in _amounts(claim.shares) for text in self._excess(claim, uuid, totals[uuid])]
        if not wrong:
            self.holdings[claim.uid] = after
        return wrong

    def _wrong_cards(self, claim: Claim) -> list[str]:
        who = f"pod {claim.pod}, container {claim.container}"
        texts = []
        for share in claim.shares:
            if share.card not in self.cards:
                texts.append(f"{who}: card {share.uuid} is not on this node")
            elif (since := self.ill.get(share.card)) is not None and claim.bound > since + HEALTH_GRACE_S:
                texts.append(f"{who}: card {share.uuid} was unhealthy for {claim.bound - since:.0f} s at bind time")
        return texts

    def _excess(self, claim: Claim, uuid: str, total: Amount) -> list[str]:
        card = self.cards[uuid]
        capacity = Amount(card.slots, card.memory_mib, card.cores)
        return [
            f"pod {claim.pod}, container {claim.container}: {held} of {has} {unit} of card {uuid} would be given out"
            for held, has, unit in zip(total, capacity, self.units, strict=True)
            if held > has
        ]
