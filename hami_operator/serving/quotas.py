"""Quotas as they are shown: each limit of each object with what is used of it and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hami_operator.core.cluster import Cluster
from hami_operator.core.quota import CORES, MEMORY, QuotaKey
from hami_operator.core.quotabook import allowances, held_under
from hami_operator.core.record import PodRecord

#: Pods named per limit.
LARGEST = 5

#: The part of a limit from which on a namespace is shown as nearly full.
NEARLY_FULL = 0.8


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """One limit of one object, amounts in ``unit`` (MiB, cores, or shares).

    ``used`` includes ``reserved``, which pods hold that are being bound. ``problem`` is why the limit blocks at all.
    """

    namespace: str
    name: str
    kind: str
    key: str
    unit: str
    hard: int
    used: int
    reserved: int
    largest: tuple[tuple[str, int], ...]
    problem: str

    @property
    def per_cent(self) -> int:
        """How full it is; 100 for a limit of nothing."""
        return round(100 * self.used / self.hard) if self.hard else 100

    @property
    def nearly_full(self) -> bool:
        """Whether it is worth a look."""
        return bool(self.problem) or self.used > NEARLY_FULL * self.hard


def quota_rows(cluster: Cluster) -> Iterator[QuotaRow]:
    """All limits, by namespace, object and key."""
    for namespace in sorted(cluster.quotas.namespaces()):
        records = list(cluster.ledger.space(namespace).pods.values())
        assumed = [record for record in records if record.assumed]
        for quota in sorted(cluster.quotas.of(namespace), key=lambda quota: (quota.id.name, quota.id.kind)):
            covered = [record for record in records if quota.covers(record.traits)]
            reserved = {allowance.key.text: allowance.used for allowance in allowances(quota, assumed)}
            for allowance in allowances(quota, records):
                key = allowance.key
                yield QuotaRow(
                    namespace=namespace,
                    name=quota.id.name,
                    kind=quota.id.kind,
                    key=key.text,
                    unit=unit_of(key),
                    hard=allowance.hard,
                    used=allowance.used,
                    reserved=reserved[key.text],
                    largest=_largest(covered, key),
                    problem=allowance.problem,
                )


def unit_of(key: QuotaKey) -> str:
    """The unit of the ledger's amounts under a key."""
    return {MEMORY: "MiB", CORES: "cores"}.get(key.part, "shares")


def _largest(records: list[PodRecord], key: QuotaKey) -> tuple[tuple[str, int], ...]:
    found = []
    for record in records:
        if cards := held_under(key, record):
            found.append((str(record.key), sum(amounts[key.part] for amounts in cards)))
    return tuple(sorted(found, key=lambda item: (-item[1], item[0]))[:LARGEST])
