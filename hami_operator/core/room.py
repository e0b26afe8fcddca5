"""What quotas leave a pod of one family, and the sentence for what is beyond it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .quota import CORES, MEMORY, SLOTS, QuotaId, QuotaKey
from .vendor import Amounts


@dataclass(frozen=True, slots=True)
class Allowance:
    """One limit of one object with what is used of it, in the units of the ledger.

    ``problem`` (a sentence) tells why it blocks whatever asks for some of it.
    """

    quota: QuotaId
    key: QuotaKey
    used: int
    hard: int
    problem: str = ""

    @property
    def left(self) -> int:
        """What may still be given; negative when ``hard`` was lowered."""
        return -1 if self.problem else self.hard - self.used

    def permits(self, charged: Amounts) -> bool:
        """Whether so much more may be given. Who asks for nothing of it is never refused, as in core quotas."""
        asked = charged[self.key.part]
        return not asked or asked <= self.left

    def sentence(self, charged: Amounts) -> str:
        """Why a pod that is charged so much waits: HAMi says nothing (issue 1444)."""
        if self.problem:
            return f"quota {self.quota}: {self.problem}"
        asked, used, hard = (self.key.shown(amount) for amount in (charged[self.key.part], self.used, self.hard))
        return f"quota {self.quota}: {self.key.text} asked {asked}, used {used}, hard {hard}"


@dataclass(frozen=True, slots=True)
class Room:
    """What quotas leave a pod of one family; None is no limit. ``allowances`` are the limits it is made of."""

    slots: int | None = None
    memory_mib: int | None = None
    cores: int | None = None
    allowances: tuple[Allowance, ...] = ()

    def allows(self, charged: Amounts) -> bool:
        """Whether a pod may be charged so much. Who asks for nothing of something is never refused for it."""
        limits = (self.slots, self.memory_mib, self.cores)
        return all(not asked or limit is None or asked <= limit for limit, asked in zip(limits, charged, strict=True))

    def refusing(self, charged: Amounts) -> Iterable[Allowance]:
        """The limits that so much would pass."""
        return (allowance for allowance in self.allowances if not allowance.permits(charged))

    def sentence(self, charged: Amounts, where: str = "") -> str:
        """Why a pod that is charged so much waits; ``where``: it is so for one node only."""
        for allowance in self.refusing(charged):
            never = not allowance.problem and charged[allowance.key.part] > allowance.hard
            return allowance.sentence(charged) + (f"; {where}it can never fit until hard is raised" if never else "")
        return ""


#: The room of a namespace without quotas.
NO_LIMIT = Room()


def room_of(allowances: tuple[Allowance, ...]) -> Room:
    """The room that these limits of one family leave together: each must hold."""
    return Room(
        slots=_least(allowances, SLOTS),
        memory_mib=_least(allowances, MEMORY),
        cores=_least(allowances, CORES),
        allowances=allowances,
    )


def _least(allowances: Iterable[Allowance], part: int) -> int | None:
    return min((allowance.left for allowance in allowances if allowance.key.part == part), default=None)
