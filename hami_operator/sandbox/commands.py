"""The command line of the sandbox: ``hami-operator sandbox up | status | down | ...``."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from . import binaries, build, families
from .cards import CARD_TYPES
from .disturb import exit_command, fault
from .errors import BadSpec, NotRunning, SandboxError
from .installation import Installation, manifests
from .instance import Instance, instances
from .nodes import Kind, Node, NodeSpec
from .options import name_option, parent_option
from .playing import no_hollow_nodes
from .plugins.habits import OWN
from .sandbox import Sandbox, Settings, find_components

_TYPES = ", ".join(sorted(CARD_TYPES))

#: What ``up`` starts when no node is named.
_DEFAULT_NODES = ("a100-80:8", "a30:4", "t4:2")


class _Group(click.Group):
    """Turns the sandbox's errors into one line and status 1 (2 for what the user wrote wrongly)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadSpec as error:
            raise click.UsageError(str(error)) from error
        except SandboxError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
def sandbox() -> None:
    """A Kubernetes of your own on this machine, with accelerator nodes that need no accelerators.

    \b
    Examples:
      hami-operator sandbox up --node a100-80:8x2 --node t4:4
      hami-operator sandbox status
      hami-operator sandbox kubectl -- get nodes
      hami-operator sandbox down
    """


@sandbox.command()
@click.option("--node", "nodes", multiple=True, metavar="TYPE:CARDS[xNODES]", help=f"Nodes to start. Types: {_TYPES}.")
@click.option("--simulated", is_flag=True, help="All nodes are simulated (cheap: hundreds on one machine).")
@click.option("--scheduler", is_flag=True, help="Run the default kube-scheduler as well.")
@click.option(
    "--driver",
    type=click.Choice(["direct", "extender", "none"]),
    default="direct",
    show_default=True,
    help="The operator's driver, with the webhook; extender: beside a kube-scheduler; none: neither is installed.",
)
@click.option("--plugin", "release", default="2.7", show_default=True, help="Release of HAMi whose plugin nodes run.")
@name_option
@parent_option
def up(
    nodes: tuple[str, ...],
    *,
    simulated: bool,
    scheduler: bool,
    driver: str,
    release: str,
    name: str,
    parent: Path | None,
) -> None:
    """Start it in the background, with webhook and operator as the manifests install them.

    Hollow nodes run the kubelet's own code; put sim: before a type for a simulated node.

    \b
    Examples:
      hami-operator sandbox up --node a100-80:8x2 --node t4:4
      hami-operator sandbox up --name big --node sim:h100:8x200
      hami-operator sandbox up --name mixed --node sim:metax-c500:8 --node sim:ascend910b3:8
      hami-operator sandbox up --driver extender
    """
    console = Console()
    kind = _default_kind(simulated, console)
    specs = [NodeSpec.parse(text, kind, release) for text in nodes or _DEFAULT_NODES]
    began = time.monotonic()
    also = (binaries.SCHEDULER,) if driver == "extender" else ()
    settings = Settings(name=name, parent=parent, scheduler=scheduler, attached=False, also=also)
    started = _start(specs, settings, console)
    page = ""
    if driver != "none":
        with console.status("applying the manifests, starting webhook and operator ..."):
            page = asyncio.run(_install(started, driver)).operators[0].url
    _show(started, console)
    if page:
        console.print(f"page        {page}/", soft_wrap=True)
    console.print(f"\nUp in {time.monotonic() - began:.1f} s. Try:")
    for line in (
        f"export KUBECONFIG={started.kubeconfig}",
        f"{started.kubectl_path} get nodes",
        down_command(name, parent),
    ):
        console.print(f"  {line}", soft_wrap=True)


def _start(specs: Sequence[NodeSpec], settings: Settings, console: Console) -> Sandbox:
    find_components(specs, settings)  # a build shows its own progress
    if not console.is_terminal:
        console.print("Starting etcd, API server, controllers and nodes ...")
    with console.status("starting etcd, API server, controllers and nodes ..."):
        return asyncio.run(Sandbox.start(specs, settings))


def down_command(name: str, parent: Path | None) -> str:
    """What ends the sandbox that was started with these options."""
    options = ["" if name == "default" else f" --name {name}", f" --dir {shlex.quote(str(parent))}" if parent else ""]
    return f"hami-operator sandbox down{''.join(options)}"


async def _install(started: Sandbox, driver: str) -> Installation:
    types = [node.type.name for node in started.nodes]
    base = manifests() / "base" / "config.yaml"
    try:
        config = families.settings(base, types, started.folder)
        return await Installation.install(started, None if config == base else config, overlay=driver, lease={})
    except BaseException:
        started.stop()
        raise


def _default_kind(simulated: bool, console: Console) -> Kind:  # noqa: FBT001 - a flag of the command line
    if simulated:
        return Kind.SIMULATED
    why = no_hollow_nodes()
    if why is not None:
        console.print(f"Hollow nodes can't run here ({why}); nodes are simulated instead.")
        return Kind.SIMULATED
    return Kind.HOLLOW


def _show(shown: Sandbox, console: Console) -> None:
    table = Table("node", "kind", "cards", "memory", "plugin", title=f"sandbox {shown.name}", title_justify="left")
    nodes = shown.nodes
    for node in nodes[:_ROWS]:
        card = node.type
        table.add_row(
            node.name,
            str(node.kind),
            f"{node.state.cards} x {card.product}",
            f"{card.memory_mib} MiB each" if card.memory_mib else "",
            _plugin(node),
        )
    if len(nodes) > _ROWS:
        table.add_row(f"and {len(nodes) - _ROWS} more", "", "", "", "")
    console.print(table)
    console.print(f"API server  {shown.url} (binaries: {shown.state.binaries})")
    console.print(f"kubeconfig  {shown.kubeconfig}", soft_wrap=True)


def _plugin(node: Node) -> str:
    release = node.type.habits.releases[node.state.release].name
    return "the vendor's own" if release == OWN.name else f"HAMi {release}"


#: Nodes shown one by one.
_ROWS = 20


@sandbox.command()
@name_option
@parent_option
def status(name: str, parent: Path | None) -> None:
    """Show its nodes and what the plugins' checkers say; status 1 when it is not running.

    \b
    Example:
      hami-operator sandbox status --name big
    """
    console = Console()
    try:
        running = Sandbox.attach(name, parent)
    except NotRunning as error:
        others = [other.name for other in instances(parent) if other.name != name and _runs(other)]
        raise SandboxError(f"{error}; running are: {', '.join(others) or 'none'}") from None
    _show(running, console)
    console.print(str(running.verdict()))


def _runs(instance: Instance) -> bool:
    try:
        instance.read()
    except NotRunning:
        return False
    return True


@sandbox.command()
@click.option("--all", "every", is_flag=True, help="End every sandbox in the folder.")
@name_option
@parent_option
def down(name: str, parent: Path | None, *, every: bool) -> None:
    """End it: no process, no file and no mount is left. Also clears what a killed one left.

    \b
    Example:
      hami-operator sandbox down --all
    """
    for instance in instances(parent) if every else [Instance.of(name, parent)]:
        with instance.locked():
            found = instance.clear()
        click.echo(f"sandbox {instance.name} {'is gone' if found else 'was not there'}")


@sandbox.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@name_option
@parent_option
def kubectl(arguments: tuple[str, ...], name: str, parent: Path | None) -> None:
    """Run the kubectl that belongs to it, as its administrator.

    \b
    Example:
      hami-operator sandbox kubectl -- get pods -A
    """
    running = Sandbox.attach(name, parent)
    path = str(running.kubectl_path)
    os.execve(path, [path, *arguments], running.kubectl_environment)


@sandbox.command()
def prepare() -> None:
    """Have the components ready, so that ``up`` starts at once: look for them, and build them if need be.

    \b
    Example:
      hami-operator sandbox prepare
    """
    found = binaries.find(binaries.EVERYTHING, build.build)
    click.echo(f"components: {found.paths[binaries.HOLLOW_NODE]} ({found.origin})")


sandbox.add_command(fault)
sandbox.add_command(exit_command)
