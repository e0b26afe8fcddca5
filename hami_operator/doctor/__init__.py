"""What is wrong with an installation, each with what mends it. Facts are gathered first; the checks are pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from . import cluster, installation, scheduler
from .facts import Facts, Finding

__all__ = ["CHECKS", "Facts", "Finding", "examine"]

CHECKS: Mapping[str, Callable[[Facts], Iterator[Finding]]] = {
    "Everything can be looked at": installation.sight,
    "No other scheduler of this name": installation.other_scheduler,
    "Webhook": installation.webhook,
    "Leader": installation.leader,
    "Rights of the operator": installation.rights,
    "kube-scheduler asks the operator": scheduler.configuration,
    "Quota kind": installation.quota_kind,
    "One version everywhere": installation.versions,
    "Clocks": installation.clock,
    "Device plugins": cluster.plugins,
    "Node locks": cluster.locks,
    "Allocations can be read": cluster.quarantine,
    "Pods under other schedulers": cluster.strays,
}


def examine(facts: Facts) -> dict[str, list[Finding]]:
    """All checks in a fixed order, by title; an empty list is a check that found nothing."""
    return {title: list(check(facts)) for title, check in CHECKS.items()}
