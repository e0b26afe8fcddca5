"""Quota objects with what their namespace uses, derived from the ledger. Shown only: nothing is refused by them yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hami_operator.core import fields
from hami_operator.core.ledger import Ledger
from hami_operator.core.vendor import NOTHING, Profile, added

from .entries import Entry

NOT_ENFORCED = "quotas are shown with what is used of them, and not enforced yet"


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota object: ``hard`` by key, as it was written."""

    entry: Entry
    hard: Mapping[str, str]


def read_quota(entry: Entry) -> Quota:
    """Raises ObjectError when ``spec.hard`` is no mapping of quantities."""
    return Quota(entry, fields.amounts(fields.mapping(entry.content, "spec"), "hard", "spec."))


def quota_rows(quotas: Iterable[Quota], profiles: Sequence[Profile], ledger: Ledger) -> list[dict[str, Any]]:
    """One row per object: ``hard`` as given, ``used`` for the keys that a family in force owns (in the key's unit)."""
    rows = []
    for quota in sorted(quotas, key=lambda quota: (quota.entry.kind, quota.entry.namespace, quota.entry.name)):
        entry, used = quota.entry, _used(quota.entry.namespace, profiles, ledger)
        rows.append(
            {
                "kind": entry.kind,
                "namespace": entry.namespace,
                "name": entry.name,
                "hard": dict(quota.hard),
                "used": {key: str(used[key]) for key in quota.hard if key in used},
            }
        )
    return rows


def _used(namespace: str, profiles: Sequence[Profile], ledger: Ledger) -> dict[str, int]:
    """What the live pods of a namespace hold, by quota key."""
    used: dict[str, int] = {}
    for profile in profiles:
        total = NOTHING
        for record in ledger.records():
            if record.key.namespace == namespace:
                for amounts in record.held.get(profile.key, {}).values():
                    total = added(total, amounts)
        names = profile.names
        used[f"limits.{names.count}"] = total.slots
        if names.memory:
            used[f"limits.{names.memory}"] = total.memory_mib // profile.memory_unit_mib
        if names.cores:
            used[f"limits.{names.cores}"] = total.cores
    return used
