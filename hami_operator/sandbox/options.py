"""Options that commands of the sandbox share."""

from __future__ import annotations

from pathlib import Path

import click

name_option = click.option(
    "--name", default="default", show_default=True, help="Which sandbox; several run side by side."
)
parent_option = click.option(
    "--dir",
    "parent",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that sandboxes are kept in.  [default: the user's state folder]",
)
