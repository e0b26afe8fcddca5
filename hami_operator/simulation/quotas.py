"""Quota objects of a scenario: put in force as live, shown with what is used of them, changed on request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hami_operator.core.cluster import Cluster
from hami_operator.core.errors import ObjectError
from hami_operator.core.quota import OWN_KIND, PREFIX, Quota, read_quota, with_hard
from hami_operator.core.quotabook import allowances

from .entries import Entry
from .errors import ScenarioError

_CHANGE = re.compile(rf"([^/:]+)/([^/:]+):({re.escape(PREFIX)}[^=]+)=(.+)")
CHANGE_FORM = f"NAMESPACE/NAME:{PREFIX}RESOURCE=AMOUNT"


@dataclass(frozen=True, slots=True)
class Change:
    """Another ``hard`` for one key of one object."""

    namespace: str
    name: str
    key: str
    amount: str


def read_change(text: str) -> Change:
    """A change as the command line gives it. Raises ValueError with a sentence."""
    match = _CHANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not {CHANGE_FORM}, such as team-a/team-a:limits.nvidia.com/gpumem=80000")
    return Change(*match.groups())


def changed(entries: Sequence[Entry], changes: Iterable[Change]) -> list[Entry]:
    """The objects with these changes; of two kinds with one name ours is meant.

    Raises:
        ScenarioError: there is no object of that name.
    """
    found = list(entries)
    for change in changes:
        named = [i for i, entry in enumerate(found) if (entry.namespace, entry.name) == (change.namespace, change.name)]
        if not named:
            known = ", ".join(sorted(f"{entry.namespace}/{entry.name}" for entry in found)) or "none"
            raise ScenarioError(
                [f"--set-quota: there is no quota {change.namespace}/{change.name}; there are: {known}"]
            )
        place = max(named, key=lambda i: found[i].kind == OWN_KIND)
        entry = found[place]
        try:
            found[place] = replace(entry, content=with_hard(entry.content, change.key, change.amount))
        except ObjectError as error:
            raise ScenarioError([f"{entry}: {error}"]) from None
    return found


def put_quotas(entries: Iterable[Entry], cluster: Cluster) -> list[str]:
    """Put the objects in force; returns a sentence per thing that is wrong with one.

    Raises:
        ScenarioError: a field has the wrong type.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for entry in entries:
        try:
            quota = read_quota(entry.content, entry.kind, cluster.quotas.keys)
        except ObjectError as error:
            problems.append(f"{entry}: {error}")
            continue
        cluster.quotas.put(quota)
        warnings += (f"{entry}: {reason}: {text}" for reason, text in quota.problems)
    if problems:
        raise ScenarioError(problems)
    return warnings


def quota_rows(cluster: Cluster) -> list[dict[str, Any]]:
    """One row per object: ``hard`` in each key's unit (as written where that means nothing), ``used`` where a family
    in force owns the key."""
    quotas = (quota for namespace in cluster.quotas.namespaces() for quota in cluster.quotas.of(namespace))
    return [
        _row(quota, cluster)
        for quota in sorted(quotas, key=lambda quota: (quota.id.kind, quota.id.namespace, quota.id.name))
    ]


def _row(quota: Quota, cluster: Cluster) -> dict[str, Any]:
    hard = {limit.key.text: limit.key.shown(limit.hard) for limit in quota.limits if not limit.problem}
    found = allowances(quota, cluster.ledger.space(quota.id.namespace).pods.values())
    return {
        "kind": quota.id.kind,
        "namespace": quota.id.namespace,
        "name": quota.id.name,
        "hard": {**quota.hard_texts, **hard},
        "used": {allowance.key.text: allowance.key.shown(allowance.used) for allowance in found},
    }
