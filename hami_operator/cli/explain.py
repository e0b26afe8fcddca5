"""``explain``: why a pod waits or what it was given, and what a node has. Reads the live cluster, writes nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click

from hami_operator.core import protocol
from hami_operator.core.advice import advise
from hami_operator.core.explain import Explanation, explain, explain_cards
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Pod
from hami_operator.core.vendor import lock_keys
from hami_operator.live import Live, decision_of

from .cards import card_facts, card_rows, card_table
from .explanation import (
    Detail,
    bound_facts,
    pending_facts,
    tell_advice,
    tell_bound,
    tell_decided_again,
    tell_kube_scheduler,
    tell_pending,
)
from .options import asked, config_option, kubeconfig_option, output_option, read_live, settings_of
from .paper import console, words
from .quotas import quotas_named, refusing, report, tell_quota, tell_refusing


@click.group("explain")
def explain_command() -> None:
    """Say why a pod waits, what a pod was given, what a node has, or who uses a quota.

    \b
    Examples:
      kubectl hami explain pod team-a/trainer-0
      kubectl hami explain node gpu-7
      kubectl hami explain quota team-a/team-a
    """


@explain_command.command("pod")
@click.argument("pod", metavar="NAMESPACE/NAME")
@click.option("--cards", is_flag=True, help="Also every node, and every card of it.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "wide", "json"]),
    default="text",
    show_default=True,
    help="wide: also every node.",
)
@kubeconfig_option
@config_option
def explain_pod(pod: str, *, cards: bool, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """Why a pod waits and what would help; of a bound pod its cards, and what was chosen over what.

    The decision is run again on the cluster as it is now; nothing is written. Status 1 when no node takes the pod.

    \b
    Examples:
      kubectl hami explain pod team-a/trainer-0
      kubectl hami explain pod team-a/trainer-0 --cards
    """
    live = read_live(kubeconfig, config)
    found = _pod(live, pod)
    detail = Detail.CARDS if cards else Detail.NODES if output == "wide" else Detail.REASONS
    if found.node_name or found.terminal:
        told = asked(decision_of(found, kubeconfig)) if found.node_name else ""
        _explain_bound(live, found, told, detail if output != "json" else None)
    else:
        _explain_pending(live, found, detail if output != "json" else None)


def _explain_pending(live: Live, pod: Pod, detail: Detail | None) -> None:
    """``detail`` None: as JSON."""
    now, paper = time.time(), console()
    explanation = _explained(pod, live, detail, now)
    quotas = refusing(live, explanation.blocked)
    advice = advise(pod, live.cluster, now)
    if detail is None:
        facts = {**pending_facts(pod, explanation), "quotas": quotas, "advice": advice}
        if live.has_kube_scheduler:
            facts["kube_scheduler"] = (pod.unscheduled or ("", None))[1]
        click.echo(json.dumps(facts, indent=2))
    else:
        tell_pending(paper, pod, explanation, detail)
        tell_refusing(paper, quotas)
        if live.has_kube_scheduler:
            tell_kube_scheduler(paper, pod)
        if not explanation.node:
            tell_advice(paper, advice)
    sys.exit(0 if explanation.node else 1)


def _explained(pod: Pod, live: Live, detail: Detail | None, now: float) -> Explanation:
    """With cards only where they are told: they cost as much again."""
    ask = explain_cards if detail in (None, Detail.CARDS) else explain
    return ask(pod, live.cluster, now)


def _explain_bound(live: Live, pod: Pod, told: str, detail: Detail | None) -> None:
    """``told`` is the event of its decision (empty: it is gone); ``detail`` None: as JSON."""
    record, paper, now = live.cluster.ledger.record(pod.key.uid), console(), time.time()
    if pod.terminal:
        again = None
    else:
        live.cluster.ledger.gone(pod.key.uid, now)
        again = _explained(replace(pod, node_name=""), live, detail, now)
    if detail is None:
        facts = {**bound_facts(pod, record), "decision": told or None}
        if again is not None:
            facts["again"] = pending_facts(pod, again)
        click.echo(json.dumps(facts, indent=2))
        return
    tell_bound(paper, pod, record)
    if again is not None:
        tell_decided_again(paper, told, again, detail)


@explain_command.command("node")
@click.argument("name")
@output_option
@kubeconfig_option
@config_option
def explain_node(name: str, *, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """A node's cards, who holds what of them, and what keeps new pods away from it.

    \b
    Example:
      kubectl hami explain node gpu-7
    """
    live = read_live(kubeconfig, config)
    entry = live.cluster.inventory.get(name)
    if entry is None:
        raise click.ClickException(f"there is no node {name!r}")
    obstacles = list(_obstacles(live, entry))
    rows = [row for row in card_rows(live.cluster.inventory, live.cluster.ledger) if row.node == name]
    if output == "json":
        facts = {"node": name, "obstacles": obstacles, "cards": [card_facts(row) for row in rows]}
        click.echo(json.dumps(facts, indent=2))
        return
    paper = console()
    for line in obstacles:
        paper.print(words(line, "yellow"))
    if obstacles:
        paper.print()
    if rows:
        paper.print(card_table(rows, colours=paper.color_system is not None))
    else:
        paper.print(words(f"node {name} registers no cards"))


@explain_command.command("quota")
@click.argument("quota", metavar="NAMESPACE/NAME")
@output_option
@kubeconfig_option
@config_option
def explain_quota(quota: str, *, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """A quota's used and hard, its largest users, and the pods that wait because of it.

    Of an ExtendedResourceQuota and a ResourceQuota with one name both are shown; only keys of accelerators count.

    \b
    Example:
      kubectl hami explain quota team-a/team-a
    """
    namespace, _, name = quota.rpartition("/")
    live = read_live(kubeconfig, config)
    found = quotas_named(live, namespace or "default", name)
    if not found:
        raise click.ClickException(f"there is no quota {namespace or 'default'}/{name}")
    reports = [report(live, one, settings_of(config).scheduler_name) for one in found]
    if output == "json":
        click.echo(json.dumps(reports, indent=2))
        return
    paper = console()
    for one in reports:
        tell_quota(paper, one)


# -- reading -----------------------------------------------------------------------------------------------------


def _pod(live: Live, text: str) -> Pod:
    namespace, slash, name = text.rpartition("/")
    if slash and not (namespace and name):
        raise click.BadParameter(f"{text!r} is not NAMESPACE/NAME", param_hint="NAMESPACE/NAME")
    found = live.pods.get((namespace or "default", name))
    if found is None:
        raise click.ClickException(f"there is no pod {namespace or 'default'}/{name}")
    return found


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
    for key in lock_keys(live.cluster.profiles):
        if lock := node.annotations.get(key):
            yield f"the node lock {'' if key == protocol.NODE_LOCK else f'{key} '}is held: {lock}"
