"""The result for people: pods with where they went or why not, then a bar per card of what is used of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

#: Widths that keep everything within 80 columns.
_MEMORY_BAR, _CORES_BAR = 10, 5
_NODE_CELLS, _CARD_CELLS, _POD_CELLS, _UUID_CELLS = 11, 14, 26, 14

_OUTCOMES = {
    "placed": ("placed", "green"),
    "unschedulable": ("waits", "yellow"),
    "denied": ("denied", "red"),
    "ignored": ("not ours", "dim"),
}


def write_table(content: Row, stream: TextIO, width: int | None = None) -> None:
    """Write a ``SimulationResult`` to a stream; colours only where the stream is a terminal."""
    console = Console(file=stream, width=width, highlight=False, soft_wrap=False)
    for number, part in enumerate(_parts(content, plain=console.options.ascii_only)):
        if number:
            console.print()
        console.print(part)


def _parts(content: Row, *, plain: bool) -> Iterable[RenderableType]:
    indexes = {(card["node"], card["uuid"]): card["index"] for card in content["devices"]}
    yield _pods(content["pods"], indexes)
    if content["quotas"]:
        yield _quotas(content["quotas"])
    if content["devices"]:
        yield _cards(content["devices"], plain=plain)


def _section(title: str, body: RenderableType) -> RenderableType:
    return Group(Text(title, style="bold"), Padding(body, (0, 0, 0, 1)))


def _grid(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


# -- pods --------------------------------------------------------------------------------------------------------


def _pods(rows: Sequence[Row], indexes: Mapping[tuple[str, str], int]) -> RenderableType:
    if not rows:
        return Text("No pods that want in.", style="bold")
    table = _grid("pod", "", "where, or why not")
    table.columns[0].max_width = _POD_CELLS
    for row in rows:
        word, style = _OUTCOMES[row["outcome"]]
        table.add_row(f"{row['namespace']}/{row['name']}", Text(word, style=style), _where(row, indexes))
    return _section("Pods", table)


def _where(row: Row, indexes: Mapping[tuple[str, str], int]) -> Text:
    if row["outcome"] != "placed":
        return Text(row["message"])
    lines = [row["node"]]
    for share in row["devices"]:
        card = share["uuid"].partition("[")[0]
        amounts = f"{share['memory']} MiB" + (f", {share['cores']} cores" if share["cores"] else "")
        index = indexes[row["node"], card]
        lines.append(f"{share['container']}: card {index} {_short(share['uuid'], _UUID_CELLS)} {amounts}")
    return Text("\n".join(lines))


def _short(text: str, cells: int) -> str:
    return text if len(text) <= cells else f"{text[: cells - 2]}.."


# -- quotas ------------------------------------------------------------------------------------------------------


def _quotas(rows: Sequence[Row]) -> RenderableType:
    table = _grid("quota", "key", "used", "hard")
    for row in rows:
        name = f"{row['namespace']}/{row['name']}"
        for key, hard in row["hard"].items():
            table.add_row(name, key, row["used"].get(key, "-"), hard)
            name = ""
    return _section("Quotas", table)


# -- cards -------------------------------------------------------------------------------------------------------


def _cards(rows: Sequence[Row], *, plain: bool) -> RenderableType:
    table = _grid("node", "card", "memory MiB", "cores", "shares")
    for column in table.columns:
        column.no_wrap = True
    node = None
    for row in rows:
        slots, healthy = row["slots"], row["healthy"]
        table.add_row(
            _short(row["node"], _NODE_CELLS) if row["node"] != node else "",
            Text(_short(f"{row['index']} {row['uuid']}", _CARD_CELLS), style="" if healthy else "red"),
            _bar(row["memory"], _MEMORY_BAR, plain=plain),
            _bar(row["cores"], _CORES_BAR, plain=plain),
            Text(f"{slots['used']}/{slots['capacity']}") if healthy else Text("sick", style="red"),
        )
        node = row["node"]
    return _section("Cards", table)


def _bar(amount: Mapping[str, int], cells: int, *, plain: bool) -> Text:
    """``#####..... 12000/24576``: full cells are rounded up, so that whatever is used is seen."""
    used, capacity = amount["used"], amount["capacity"]
    share = used / capacity if capacity else 0.0
    full = min(cells, -int(-share * cells // 1))
    style = "red" if share > 1 else "yellow" if share >= 0.9 else "green"
    done, rest = ("#", ".") if plain else ("█", "░")
    return Text.assemble((done * full, style), (rest * (cells - full), "dim"), f" {used}/{capacity}")
