"""Who is on a card already: latency-sensitive pods keep away from each other, and from batch pods even more.

HAMi v2.7.1 pkg/device/metax/sdevice.go (application classes online and offline).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hami_operator.core.vendor import CardState, Tenant

#: What another latency-sensitive pod on the card costs, a batch pod beside one, and a batch pod without one.
BUSY, FILLED, BATCH_ALONE = 20, 2, 100


class Company(NamedTuple):
    """Shares on a card by their pods' class."""

    online: int
    offline: int


def company(tenants: Iterable[Tenant], class_of: Callable[[Tenant], str]) -> Company:
    """The company on a card; ``class_of`` is ``online``, ``offline``, or another word for neither."""
    classes = Counter(map(class_of, tenants))
    return Company(classes["online"], classes["offline"])


def least_company(
    candidates: Sequence[CardState], count: int, class_of: Callable[[Tenant], str]
) -> Sequence[CardState]:
    """Cards for a latency-sensitive pod: few of its kind first, then few of batch; batch alone comes last."""

    def crowd(state: CardState) -> tuple[bool, Company]:
        found = company(state.tenants, class_of)
        return found.offline > 0 and not found.online, found

    return sorted(candidates, key=crowd)[:count]


def company_score(found: Company) -> int:
    """How well a latency-sensitive pod is off on a card; 0 is alone, less is worse."""
    return -BUSY * found.online - (FILLED if found.online else BATCH_ALONE) * found.offline
