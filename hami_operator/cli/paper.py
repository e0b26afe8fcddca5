"""What the commands write on: 80 columns where nothing else is known, and text of strangers made harmless."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hami_operator.visible import visible


def console() -> Console:
    """Standard output; colours only where it is a terminal."""
    return Console(highlight=False)


def words(text: str, style: str = "") -> Text:
    """Text to print, with escapes in the place of characters that act (terminal escapes, newlines, marks)."""
    return Text(visible(text), style=style)


def grid(*columns: str, numbers: Collection[str] = ()) -> Table:
    """A table without lines; columns of ``numbers`` are put to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table
