"""``top``: who holds what, by node, card or namespace, and the largest request that fits now per type of card."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hami_operator.config import ConfigError, load
from hami_operator.core.errors import ObjectError
from hami_operator.core.vendor import NOTHING, Amounts, added
from hami_operator.kube.errors import KubeError
from hami_operator.live import Live, read

from .cards import CardRow, card_rows, card_table


@dataclass(frozen=True, slots=True)
class TypeRow:
    """Cards of one type: how many, how many well and idle, what is used, and the largest single share that fits."""

    type: str
    cards: int
    healthy: int
    idle: int
    used: Amounts
    total: Amounts
    largest_mib: int


def type_rows(rows: Sequence[CardRow]) -> list[TypeRow]:
    """One row per card type, by name."""
    by_type: dict[str, list[CardRow]] = {}
    for row in rows:
        by_type.setdefault(row.device.type, []).append(row)
    return [_type_row(name, by_type[name]) for name in sorted(by_type)]


def _type_row(name: str, rows: Sequence[CardRow]) -> TypeRow:
    used = total = NOTHING
    largest = 0
    for row in rows:
        device, held = row.device, row.used()
        used = added(used, held)
        total = added(total, Amounts(device.slots, device.memory_mib, device.cores))
        full = held.slots >= device.slots or (device.cores and held.cores >= device.cores)
        if device.healthy and not full:
            largest = max(largest, device.memory_mib - held.memory_mib)
    healthy = [row for row in rows if row.device.healthy]
    return TypeRow(name, len(rows), len(healthy), sum(not row.tenants for row in healthy), used, total, largest)


@click.command()
@click.argument("what", type=click.Choice(["nodes", "cards", "namespaces"]), default="nodes")
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="A kubeconfig; default as kubectl's.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The operator's settings file.")
def top(what: str, *, kubeconfig: str | None, config: Path | None) -> None:
    """Show how full nodes, cards or namespaces are, then what still fits per type of card.

    \b
    Examples:
      kubectl hami top
      kubectl hami top cards
    """
    try:
        live = asyncio.run(read(load(config), kubeconfig))
    except (ConfigError, KubeError, ObjectError, OSError) as error:
        raise click.ClickException(str(error)) from None
    console = Console(highlight=False)
    rows = card_rows(live.cluster.inventory, live.cluster.ledger)
    if not rows:
        console.print("no node registers cards")
        return
    console.print(_TABLES[what](live, rows))
    console.print()
    console.print(_types(type_rows(rows)))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    return table


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f}"


def _nodes(live: Live, rows: Sequence[CardRow]) -> Table:
    table = _table("node", "cards", "shares", "memory GiB", "cores", "idle cards")
    for name in sorted({row.node for row in rows}):
        here = [row for row in rows if row.node == name]
        summed = _type_row(name, here)
        table.add_row(
            Text(name),
            str(summed.cards),
            f"{summed.used.slots}/{summed.total.slots}",
            f"{_gib(summed.used.memory_mib)}/{_gib(summed.total.memory_mib)}",
            f"{summed.used.cores}/{summed.total.cores}",
            str(summed.idle),
        )
    return table


def _cards(live: Live, rows: Sequence[CardRow]) -> Table:
    return card_table(rows, colours=Console().color_system is not None)


def _namespaces(live: Live, rows: Sequence[CardRow]) -> Table:
    held: dict[str, dict[str, Amounts]] = {}
    pods: dict[str, set[str]] = {}
    for row in rows:
        for tenant in row.tenants:
            namespace = tenant.pod.partition("/")[0]
            families = held.setdefault(namespace, {})
            families[row.family] = added(families.get(row.family, NOTHING), tenant.held)
            pods.setdefault(namespace, set()).add(tenant.pod)
    table = _table("namespace", "family", "pods", "shares", "memory GiB", "cores")
    for namespace in sorted(held):
        for family, amounts in sorted(held[namespace].items()):
            table.add_row(
                Text(namespace),
                family,
                str(len(pods[namespace])),
                str(amounts.slots),
                _gib(amounts.memory_mib),
                str(amounts.cores),
            )
    return table


_TABLES: Mapping[str, Callable[[Live, Sequence[CardRow]], Table]] = {
    "nodes": _nodes,
    "cards": _cards,
    "namespaces": _namespaces,
}


def _types(rows: Sequence[TypeRow]) -> Table:
    table = _table("type of card", "well/all", "idle", "memory GiB", "largest share that fits")
    for row in rows:
        table.add_row(
            Text(row.type),
            f"{row.healthy}/{row.cards}",
            str(row.idle),
            f"{_gib(row.used.memory_mib)}/{_gib(row.total.memory_mib)}",
            f"{row.largest_mib} MiB",
        )
    return table
