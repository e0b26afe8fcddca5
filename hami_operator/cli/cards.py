"""The table of cards: how full each is, and who holds what of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Device
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.record import NodeUsage
from hami_operator.core.vendor import NOTHING, Amounts, Profile
from hami_operator.visible import visible

from .paper import words

#: Widths that leave room for names within 80 columns.
MEMORY_CELLS, CORE_CELLS, NODE_CELLS = 12, 6, 16

#: Told apart by people who see colours differently (Okabe and Ito), and by their letters where there are no colours.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Tenant:
    """What one pod holds of a card."""

    pod: str
    held: Amounts


@dataclass(frozen=True, slots=True)
class CardRow:
    """One card of one node with its tenants, by name of pod."""

    node: str
    family: str
    device: Device
    tenants: tuple[Tenant, ...]

    def used(self) -> Amounts:
        """What all tenants hold together."""
        total = NOTHING
        for tenant in self.tenants:
            total = Amounts(*(a + b for a, b in zip(total, tenant.held, strict=True)))
        return total


def read_cards(
    nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]], profiles: Sequence[Profile]
) -> list[CardRow]:
    """All cards of these Node objects with what these Pod objects hold, read exactly as the operator reads them."""
    inventory, ledger = Inventory(profiles), Ledger(profiles)
    for node in nodes:
        inventory.update(read_node(node))
    for pod in pods:
        ledger.observe(read_pod(pod), 0.0)
    return card_rows(inventory, ledger)


def card_rows(inventory: Inventory, ledger: Ledger) -> list[CardRow]:
    """All cards, by name of node, family and index."""
    entries = sorted(inventory, key=lambda entry: entry.node.name)
    return [
        CardRow(entry.node.name, family, device, _tenants(family, device, ledger.usage(entry.node.name)))
        for entry in entries
        for family, devices in entry.devices.items()
        for device in devices
    ]


def _tenants(family: str, device: Device, usage: NodeUsage) -> tuple[Tenant, ...]:
    held = (
        Tenant(str(record.key), record.held[family][device.uuid])
        for record in usage.pods.values()
        if device.uuid in record.held.get(family, {})
    )
    return tuple(sorted(held, key=lambda tenant: tenant.pod))


def card_facts(row: CardRow) -> dict[str, Any]:
    """A card for programs: what it has, what is used of it, and by whom."""
    device, used = row.device, row.used()
    return {
        "node": row.node,
        "vendor": row.family,
        "index": device.index,
        "uuid": device.uuid,
        "type": device.type,
        "healthy": device.healthy,
        "shares": {"used": used.slots, "total": device.slots},
        "memory_mib": {"used": used.memory_mib, "total": device.memory_mib},
        "cores": {"used": used.cores, "total": device.cores},
        "pods": [
            {"pod": t.pod, "shares": t.held.slots, "memory_mib": t.held.memory_mib, "cores": t.held.cores}
            for t in row.tenants
        ],
    }


def card_table(rows: Sequence[CardRow], *, colours: bool) -> Table:
    """The table; 80 columns are enough for it."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("node / card", max_width=NODE_CELLS, overflow="fold")
    table.add_column("memory GiB", no_wrap=True)
    table.add_column("cores %", no_wrap=True)
    table.add_column("who", overflow="fold")
    node = ""
    for row in rows:
        if row.node != node:
            table.add_row(words(row.node, "bold"), words(_model(row.device), "dim"), "", "")
            node = row.node
        used, device = row.used(), row.device
        memory = _stack(MEMORY_CELLS, device.memory_mib, [t.held.memory_mib for t in row.tenants], colours=colours)
        cores = _stack(CORE_CELLS, device.cores, [t.held.cores for t in row.tenants], colours=colours)
        table.add_row(
            Text(f"  card {device.index}" + ("" if device.healthy else " sick"), style="" if device.healthy else "red"),
            memory.append(f" {used.memory_mib / 1024:4.1f}/{device.memory_mib / 1024:.0f}"),
            cores.append(f" {used.cores}/{device.cores}"),
            _who(row.tenants, colours=colours),
        )
    return table


def _model(device: Device) -> str:
    return device.type.removeprefix("NVIDIA-").removeprefix("NVIDIA ")


def _stack(cells: int, capacity: int, parts: Sequence[int], *, colours: bool) -> Text:
    """A bar with one piece per tenant; what is held is never rounded away, and never fills a card that has room."""
    bar, filled, held = Text(), 0, 0
    for number, part in enumerate(parts):
        held += part
        end = min(cells, round(cells * held / capacity) if capacity else 0)
        if part and end <= filled < cells:
            end = filled + 1
        bar.append(("█" if colours else _letter(number)) * (end - filled), _colour(number))
        filled = max(filled, end)
    return bar.append(("░" if colours else ".") * (cells - filled), "dim")


def _letter(number: int) -> str:
    return _LETTERS[number % len(_LETTERS)]


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _who(tenants: Sequence[Tenant], *, colours: bool) -> Text:
    text = Text()
    for number, tenant in enumerate(tenants):
        if number:
            text.append("\n")
        text.append("■ " if colours else f"{_letter(number)} ", _colour(number))
        text.append(visible(tenant.pod.removeprefix("default/")))
    return text or Text("free", style="dim")
