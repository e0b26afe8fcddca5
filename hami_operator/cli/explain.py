"""``explain``: why a pod waits or what it was given, and what a node has. Reads the live cluster, writes nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hami_operator.config import ConfigError, load
from hami_operator.core import protocol
from hami_operator.core.advice import advise
from hami_operator.core.errors import ObjectError
from hami_operator.core.explain import CardAnswer, Explanation, NodeAnswer, explain
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Pod
from hami_operator.core.reasons import Refusal
from hami_operator.kube.errors import KubeError
from hami_operator.live import Live, read

from .cards import card_rows, card_table
from .quotas import quotas_named, refusing, report, tell_quota, tell_refusing

_kubeconfig = click.option("--kubeconfig", type=click.Path(dir_okay=False), help="A kubeconfig; default as kubectl's.")
_config = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="The operator's settings file."
)
_output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group("explain")
def explain_command() -> None:
    """Say why a pod waits, what a pod was given, what a node has, or who uses a quota.

    \b
    Examples:
      kubectl hami explain pod team-a/trainer-0 --cards
      kubectl hami explain node gpu-7
      kubectl hami explain quota team-a/team-a
    """


@explain_command.command("pod")
@click.argument("pod", metavar="NAMESPACE/NAME")
@click.option("--cards", is_flag=True, help="Also every card of every node.")
@_output
@_kubeconfig
@_config
def explain_pod(pod: str, *, cards: bool, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """Why a pod waits: per node, and with --cards per card; for a bound pod its cards.

    The decision is run again on the cluster as it is now; nothing is written.

    \b
    Example:
      kubectl hami explain pod team-a/trainer-0 --cards
    """
    live = _read(kubeconfig, config)
    found = _pod(live, pod)
    console = Console(highlight=False, soft_wrap=False)
    if found.node_name or found.terminal:
        _tell_bound(console, live, found, output)
        return
    now = time.time()
    explanation = explain(found, live.cluster, now)
    advice = advise(found, live.cluster, now)
    if output == "json":
        quotas = refusing(live, explanation.blocked)
        click.echo(json.dumps({**_as_json(found, explanation), "quotas": quotas, "advice": advice}, indent=2))
    else:
        _tell_waiting(console, found, explanation, cards=cards)
        tell_refusing(console, refusing(live, explanation.blocked))
        for sentence in advice:
            console.print(Text(f"It {sentence}.", style="cyan"))
    sys.exit(0 if explanation.node else 1)


@explain_command.command("node")
@click.argument("name")
@_kubeconfig
@_config
def explain_node(name: str, *, kubeconfig: str | None, config: Path | None) -> None:
    """A node's cards, who holds what of them, and what keeps new pods away from it.

    \b
    Example:
      kubectl hami explain node gpu-7
    """
    live = _read(kubeconfig, config)
    entry = live.cluster.inventory.get(name)
    if entry is None:
        raise click.ClickException(f"there is no node {name!r}")
    console = Console(highlight=False)
    for line in _obstacles(live, entry):
        console.print(Text(line, style="yellow"))
    rows = [row for row in card_rows(live.cluster.inventory, live.cluster.ledger) if row.node == name]
    if rows:
        console.print(card_table(rows, colours=console.color_system is not None))
    else:
        console.print(f"node {name} registers no cards")


@explain_command.command("quota")
@click.argument("quota", metavar="NAMESPACE/NAME")
@_output
@_kubeconfig
@_config
def explain_quota(quota: str, *, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """A quota's used and hard, its largest users, and the pods that wait because of it.

    Of an ExtendedResourceQuota and a ResourceQuota with one name both are shown; only keys of accelerators count.

    \b
    Example:
      kubectl hami explain quota team-a/team-a
    """
    namespace, _, name = quota.rpartition("/")
    live = _read(kubeconfig, config)
    found = quotas_named(live, namespace or "default", name)
    if not found:
        raise click.ClickException(f"there is no quota {namespace or 'default'}/{name}")
    reports = [report(live, one, load(config).scheduler_name) for one in found]
    if output == "json":
        click.echo(json.dumps(reports, indent=2))
        return
    console = Console(highlight=False)
    for one in reports:
        tell_quota(console, one)


# -- reading -----------------------------------------------------------------------------------------------------


def _read(kubeconfig: str | None, config: Path | None) -> Live:
    try:
        return asyncio.run(read(load(config), kubeconfig))
    except (ConfigError, KubeError, ObjectError, OSError) as error:
        raise click.ClickException(str(error)) from None


def _pod(live: Live, text: str) -> Pod:
    namespace, slash, name = text.rpartition("/")
    if slash and not (namespace and name):
        raise click.BadParameter(f"{text!r} is not NAMESPACE/NAME", param_hint="NAMESPACE/NAME")
    found = live.pods.get((namespace or "default", name))
    if found is None:
        raise click.ClickException(f"there is no pod {namespace or 'default'}/{name}")
    return found


# -- telling -----------------------------------------------------------------------------------------------------


def _tell_bound(console: Console, live: Live, pod: Pod, output: str) -> None:
    record = live.cluster.ledger.record(pod.key.uid)
    shares = [] if record is None else list(record.allocation.shares())
    names = [container.name for container in pod.containers]
    rows = [
        {"container": names[position], "vendor": family, **dataclasses.asdict(share)}
        for family, position, share in shares
    ]
    if output == "json":
        click.echo(
            json.dumps({"pod": str(pod.key), "node": pod.node_name, "phase": pod.phase, "devices": rows}, indent=2)
        )
        return
    state = f"is {pod.phase} and holds nothing any more" if pod.terminal else f"is bound to {pod.node_name}"
    phase = pod.annotations.get(protocol.BIND_PHASE)
    console.print(f"{pod.key} {state}" + (f", its cards: {phase}" if phase and not pod.terminal else ""))
    for row in rows:
        cores = f", {row['cores']} cores" if row["cores"] else ""
        console.print(Text(f"  {row['container']}: {row['uuid']} ({row['vendor']}), {row['memory_mib']} MiB{cores}"))


def _tell_waiting(console: Console, pod: Pod, explanation: Explanation, *, cards: bool) -> None:
    verb = f"would go to {explanation.node} now" if explanation.node else "waits"
    console.print(Text(f"{pod.key} {verb}: {explanation.message}"))
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for column in ("node", "", "why"):
        table.add_column(column, overflow="fold")
    for node in explanation.nodes:
        table.add_row(*_node_row(node, chosen=node.name == explanation.node))
        if cards:
            for card in node.cards:
                table.add_row(*_card_row(card))
    console.print(table)


def _node_row(node: NodeAnswer, *, chosen: bool) -> tuple[Text, Text, Text]:
    if node.fits:
        return (
            Text(node.name),
            Text("fits", style="green"),
            Text(f"score {node.score:.2f}" + (", the best" if chosen else "")),
        )
    return Text(node.name), Text("no", style="red"), Text("; ".join(str(refusal) for refusal in node.refusals))


def _card_row(card: CardAnswer) -> tuple[Text, Text, Text]:
    device = card.device
    parts = (
        f"{device.memory_mib - card.used_memory_mib} of {device.memory_mib} MiB",
        f"{device.cores - card.used_cores} of {device.cores} cores",
        f"{device.slots - card.used_slots} of {device.slots} slots",
    )
    free = f"free {', '.join(parts)}"
    asked = f"asked {card.asked_memory_mib} MiB, {card.asked_cores} cores"
    word = Text("takes it", style="green") if card.reason is None else Text("no", style="red")
    reason = f"{card.reason}: " if card.reason else ""
    return Text(f"  card {device.index} {device.uuid[:12]}"), word, Text(f"{reason}{free}; {asked}")


def _obstacles(live: Live, entry: NodeDevices) -> Iterable[str]:
    node = entry.node
    if not node.ready:
        yield "the node is not Ready"
    if node.unschedulable:
        yield "the node is cordoned (spec.unschedulable)"
    for taint in node.taints:
        yield f"taint {taint.key}={taint.value}:{taint.effect}" if taint.value else f"taint {taint.key}:{taint.effect}"
    for family, problem in entry.broken.items():
        yield f"{family}: {problem}; the last good list of cards is kept"
    for family, problem in live.cluster.ledger.usage(node.name).quarantined().items():
        yield f"{family} takes no new pods: {problem}"
    for family in sorted(entry.devices.keys() - entry.live):
        yield f"{family}: cards are registered but none is allocatable: its plugin is not at work"
    if entry.cordoned:
        yield f"cards kept from new pods by {protocol.DEVICE_CORDON}: {', '.join(sorted(entry.cordoned))}"
    lock = node.annotations.get(protocol.NODE_LOCK)
    if lock:
        yield f"the node lock is held: {lock}"


def _as_json(pod: Pod, explanation: Explanation) -> Mapping[str, Any]:
    return {
        "pod": str(pod.key),
        "message": explanation.message,
        "node": explanation.node or None,
        "nodes": [
            {
                "name": node.name,
                "fits": node.fits,
                **({"score": round(node.score, 4)} if node.fits else {}),
                "refusals": [_refusal(refusal) for refusal in node.refusals],
                "cards": [
                    {"index": card.device.index, "uuid": card.device.uuid, "vendor": card.family, "reason": card.reason}
                    for card in node.cards
                ],
            }
            for node in explanation.nodes
        ],
    }


def _refusal(refusal: Refusal) -> Mapping[str, Any]:
    counts = {} if refusal.devices is None else {"devices": refusal.devices, "of": refusal.of}
    return {"reason": refusal.reason, **counts, **({"detail": refusal.detail} if refusal.detail else {})}
