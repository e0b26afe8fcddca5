"""Commands that make a node misbehave, or end a container on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .errors import BadSpec
from .nodes import Node
from .options import name_option, parent_option
from .podstatus import RUN_SECONDS
from .sandbox import Sandbox

_MOST_SECONDS = 3600

_Act = Callable[[Node, str], Coroutine[Any, Any, None]]


def read_seconds(text: str) -> float:
    """A span of time. Raises BadSpec."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_SECONDS:
        raise BadSpec(f"seconds {text!r} is not allowed: a number from 0 to {_MOST_SECONDS}")
    return seconds


def read_integer(text: str, what: str, lowest: int = 0) -> int:
    """A count, or the index of a card. Raises BadSpec."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text) or int(text) < lowest:
        raise BadSpec(f"{what} {text!r} is not allowed: an integer from {lowest}")
    return int(text)


@dataclass(frozen=True, slots=True)
class _Fault:
    """``value``: it takes one, which may be left out where ``default`` is given."""

    help: str
    act: _Act
    value: bool = False
    default: str = ""


_FAULTS = {
    "slow": _Fault("every Allocate waits VALUE seconds", lambda node, v: node.slow(read_seconds(v)), value=True),
    "fail-allocate": _Fault(
        "the next VALUE Allocate calls fail (-1: all)",
        lambda node, v: node.fail_allocate(read_integer(v, "times", -1)),
        value=True,
        default="-1",
    ),
    "card-unhealthy": _Fault(
        "the card of index VALUE falls ill",
        lambda node, v: node.card_unhealthy(read_integer(v, "card")),
        value=True,
    ),
    "card-healthy": _Fault("and is well again", lambda node, v: node.card_healthy(read_integer(v, "card")), value=True),
    "plugin-dead": _Fault("the plugin's process is killed", lambda node, _: node.kill_plugin()),
    "plugin-start": _Fault("and started again", lambda node, _: node.start_plugin()),
    "gone": _Fault("the machine stops", lambda node, _: node.gone()),
    "back": _Fault("and is there again", lambda node, _: node.back()),
    "well": _Fault("slowness, failures and ill cards end", lambda node, _: node.well()),
}


def _fault_help(faults: Sequence[str] = tuple(_FAULTS)) -> str:
    lines = "\n".join(f"  {name:15} {_FAULTS[name].help}" for name in faults)
    return (
        f"Make a node misbehave, or mend it.\n\n\b\nFaults:\n{lines}\n\n"
        "\b\nExample:\n  hami-operator sandbox fault t4-0 card-unhealthy 1"
    )


@click.command(help=_fault_help())
@click.argument("node")
@click.argument("kind", metavar="FAULT", type=click.Choice(list(_FAULTS)))
@click.argument("value", required=False, default="")
@name_option
@parent_option
def fault(node: str, kind: str, value: str, name: str, parent: Path | None) -> None:
    """Do one of the faults (the help text is made of the table)."""
    chosen = _FAULTS[kind]
    if value and not chosen.value:
        raise BadSpec(f"{kind} takes no value, {value!r} was given")
    asyncio.run(chosen.act(Sandbox.attach(name, parent).node(node), value or chosen.default))


@click.command("exit")
@click.argument("node")
@click.argument("pod", metavar="NAMESPACE/POD")
@click.argument("container")
@click.option("--code", default=0, show_default=True, type=click.IntRange(0, 255), help="Its exit code.")
@name_option
@parent_option
def exit_command(node: str, pod: str, container: str, *, code: int, name: str, parent: Path | None) -> None:
    """End a running container.

    \b
    Example:
      hami-operator sandbox exit t4-0 default/train main
    """
    asyncio.run(Sandbox.attach(name, parent).node(node).exit(pod, container, code))


exit_command.help = f"{exit_command.help}\nA pod with the annotation {RUN_SECONDS} ends by itself."
