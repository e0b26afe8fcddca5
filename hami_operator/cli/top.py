"""``top``: who holds what, by node, card or namespace, and the largest request that fits now per type of card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hami_operator.core.cluster import Cluster
from hami_operator.core.vendor import NOTHING, Amounts, added
from hami_operator.serving.cardtypes import TypeRow, card_types
from hami_operator.serving.rollup import Rollup, roll_up

from .cards import card_facts, card_rows, card_table
from .options import config_option, kubeconfig_option, output_option, read_live
from .paper import console, grid, words


@click.command()
@click.argument("what", type=click.Choice(["nodes", "cards", "namespaces"]), default="nodes")
@output_option
@kubeconfig_option
@config_option
def top(what: str, *, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """Show how full nodes, cards or namespaces are, then what still fits per type of card.

    \b
    Examples:
      kubectl hami top
      kubectl hami top cards
    """
    cluster = read_live(kubeconfig, config).cluster
    types, view = card_types(_rollups(cluster)), _VIEWS[what]
    if output == "json":
        facts = {what: view.facts(cluster), "types": [dataclasses.asdict(row) for row in types]}
        click.echo(json.dumps(facts, indent=2))
        return
    paper = console()
    if not types:
        paper.print("no node registers cards")
        return
    paper.print(view.table(cluster))
    paper.print()
    paper.print(_types(types))


def _rollups(cluster: Cluster) -> list[Rollup]:
    """The sums of each node that has cards, by name."""
    entries = sorted(cluster.inventory, key=lambda entry: entry.node.name)
    found = (roll_up(cluster, entry, cluster.ledger.usage(entry.node.name)) for entry in entries)
    return [rollup for rollup in found if rollup.kinds]


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f}"


# -- nodes -------------------------------------------------------------------------------------------------------


def _node_facts(cluster: Cluster) -> list[dict[str, Any]]:
    return [_summed(rollup) for rollup in _rollups(cluster)]


def _summed(rollup: Rollup) -> dict[str, Any]:
    """A node with the sums of its cards of all types."""
    kinds = list(rollup.kinds.values())
    return {
        "node": rollup.name,
        "excluded": list(rollup.excluded),
        "cards": sum(kind.cards for kind in kinds),
        "healthy": sum(kind.healthy for kind in kinds),
        "whole_free": sum(kind.whole_free for kind in kinds),
        "pods": rollup.pods,
        "shares": {"given": sum(kind.shares for kind in kinds), "total": sum(kind.slots for kind in kinds)},
        "memory_mib": {"given": sum(kind.given_mib for kind in kinds), "total": sum(kind.memory_mib for kind in kinds)},
        "cores": {"given": sum(kind.given_cores for kind in kinds), "total": sum(kind.cores for kind in kinds)},
    }


def _nodes(cluster: Cluster) -> Table:
    table = grid("node", "well", "whole free", "pods", "shares", "memory GiB", "cores", numbers=_NUMBERS)
    for row in _node_facts(cluster):
        memory = row["memory_mib"]
        table.add_row(
            words(row["node"], "yellow" if row["excluded"] else ""),
            f"{row['healthy']}/{row['cards']}",
            "no pods" if row["excluded"] else str(row["whole_free"]),
            str(row["pods"]),
            f"{row['shares']['given']}/{row['shares']['total']}",
            f"{_gib(memory['given'])}/{_gib(memory['total'])}",
            f"{row['cores']['given']}/{row['cores']['total']}",
        )
    return table


# -- cards -------------------------------------------------------------------------------------------------------


def _card_facts(cluster: Cluster) -> list[dict[str, Any]]:
    return [card_facts(row) for row in card_rows(cluster.inventory, cluster.ledger)]


def _cards(cluster: Cluster) -> Table:
    rows = card_rows(cluster.inventory, cluster.ledger)
    return card_table(rows, colours=console().color_system is not None)


# -- namespaces --------------------------------------------------------------------------------------------------


def _namespace_facts(cluster: Cluster) -> list[dict[str, Any]]:
    """What the pods of each namespace hold of each family together."""
    held: dict[tuple[str, str], Amounts] = {}
    pods: dict[tuple[str, str], set[str]] = {}
    for row in card_rows(cluster.inventory, cluster.ledger):
        for tenant in row.tenants:
            key = tenant.pod.partition("/")[0], row.family
            held[key] = added(held.get(key, NOTHING), tenant.held)
            pods.setdefault(key, set()).add(tenant.pod)
    return [
        {
            "namespace": namespace,
            "vendor": family,
            "pods": len(pods[namespace, family]),
            "shares": amounts.slots,
            "memory_mib": amounts.memory_mib,
            "cores": amounts.cores,
        }
        for (namespace, family), amounts in sorted(held.items())
    ]


def _namespaces(cluster: Cluster) -> Table:
    table = grid("namespace", "family", "pods", "shares", "memory GiB", "cores", numbers=_NUMBERS)
    for row in _namespace_facts(cluster):
        numbers = str(row["pods"]), str(row["shares"]), _gib(row["memory_mib"]), str(row["cores"])
        table.add_row(words(row["namespace"]), words(row["vendor"]), *numbers)
    return table


_NUMBERS = ("well", "whole free", "pods", "shares", "memory GiB", "cores")


@dataclass(frozen=True, slots=True)
class _View:
    table: Callable[[Cluster], Table]
    facts: Callable[[Cluster], list[dict[str, Any]]]


_VIEWS: Mapping[str, _View] = {
    "nodes": _View(_nodes, _node_facts),
    "cards": _View(_cards, _card_facts),
    "namespaces": _View(_namespaces, _namespace_facts),
}


# -- types -------------------------------------------------------------------------------------------------------


def _types(rows: list[TypeRow]) -> Table:
    table = grid("type of card", "well", "memory GiB", "fits now", numbers=_NUMBERS)
    for row in rows:
        memory = f"{_gib(row.given_mib)}/{_gib(row.memory_mib)}"
        table.add_row(words(row.type or row.family), f"{row.healthy}/{row.cards}", memory, words(_fits(row)))
    return table


def _fits(row: TypeRow) -> str:
    """The largest requests: of one card, and of whole ones."""
    fits = row.fits
    parts = [f"{fits.memory_mib} MiB on {fits.memory_node}"] if fits.memory_mib else []
    if fits.whole_cards:
        linked = f", {fits.whole_cards_linked} linked" if fits.whole_cards_linked else ""
        parts.append(f"{fits.whole_cards} whole, {fits.whole_cards_on_one_node} on one node{linked}")
    return "; ".join(parts) or "nothing"
