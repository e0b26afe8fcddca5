"""What ``explain pod`` says, for people and for programs."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from hami_operator.core import protocol
from hami_operator.core.explain import CardAnswer, Explanation, NodeAnswer
from hami_operator.core.model import Pod
from hami_operator.core.reasons import Refusal
from hami_operator.core.record import PodRecord

from .paper import grid, words


class Detail(enum.IntEnum):
    """How much is told: reasons with counts of nodes, every node, every card."""

    REASONS, NODES, CARDS = range(3)


# -- pods that wait ----------------------------------------------------------------------------------------------


def tell_pending(console: Console, pod: Pod, explanation: Explanation, detail: Detail) -> None:
    """The sentence first, then the reasons by count of nodes, or more."""
    verb = f"would go to {explanation.node} now" if explanation.node else "waits"
    console.print(words(f"{pod.key} {verb}: {explanation.message}"))
    if explanation.nodes:
        console.print()
        _tell_nodes(console, explanation, detail)


def tell_kube_scheduler(console: Console, pod: Pod) -> None:
    """What kube-scheduler says, with the driver "extender"."""
    console.print()
    said = pod.unscheduled[1] if pod.unscheduled is not None else "nothing yet"
    console.print(words(f"kube-scheduler says: {said}"))
    console.print(words("It judges spread, affinity between pods and volumes too, which was not done here.", "dim"))


def tell_advice(console: Console, sentences: Sequence[str]) -> None:
    """What would help, or that nothing simple would."""
    console.print()
    if not sentences:
        console.print(words("No single change that was tried would let it start now.", "dim"))
    for sentence in sentences:
        console.print(words(f"It {sentence}.", "cyan"))


def _tell_nodes(console: Console, explanation: Explanation, detail: Detail) -> None:
    if detail is Detail.REASONS:
        _tell_reasons(console, explanation)
        return
    nodes = explanation.nodes
    alike = len(nodes) > 1 and len({node.refusals for node in nodes}) == 1 and not nodes[0].fits
    if alike and detail is Detail.NODES:
        console.print(words(f"all {len(nodes)} nodes: {_why(nodes[0])}"))
        return
    table = grid("node", "", "why")
    for node in nodes:
        why = "; ".join(refusal.reason for refusal in node.refusals) if alike else _why(node)
        table.add_row(*_node_row(node, chosen=node.name == explanation.node, why=why))
        for card in node.cards if detail is Detail.CARDS else ():
            table.add_row(*_card_row(card))
    console.print(table)


def _tell_reasons(console: Console, explanation: Explanation) -> None:
    table = grid("nodes", "answer", numbers={"nodes"})
    fitting = sum(node.fits for node in explanation.nodes)
    if fitting:
        table.add_row(str(fitting), Text("fits", style="green"))
    for reason, nodes in reasons_counted(explanation):
        table.add_row(str(nodes), words(reason))
    console.print(table)


def reasons_counted(explanation: Explanation) -> list[tuple[str, int]]:
    """How many nodes refuse for each reason, the most frequent first."""
    counts: Counter[str] = Counter()
    for node in explanation.nodes:
        counts.update({refusal.reason.value for refusal in node.refusals})
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _node_row(node: NodeAnswer, *, chosen: bool, why: str) -> tuple[Text, Text, Text]:
    if node.fits:
        score = f"score {node.score:.2f}" + (", the best" if chosen else "")
        return words(node.name), Text("fits", style="green"), Text(score)
    return words(node.name), Text("no", style="red"), words(why)


def _why(node: NodeAnswer) -> str:
    return "; ".join(str(refusal) for refusal in node.refusals)


def _card_row(card: CardAnswer) -> tuple[Text, Text, Text]:
    device = card.device
    free = (
        f"{device.memory_mib - card.used_memory_mib} of {device.memory_mib} MiB",
        f"{device.cores - card.used_cores} of {device.cores} cores",
        f"{device.slots - card.used_slots} of {device.slots} shares",
    )
    asked = f"asked {card.asked_memory_mib} MiB, {card.asked_cores} cores"
    word = Text("takes it", style="green") if card.reason is None else Text("no", style="red")
    reason = f"{card.reason}: " if card.reason else ""
    uuid = device.uuid if len(device.uuid) <= 14 else f"{device.uuid[:12]}.."
    return words(f"  card {device.index} {uuid}"), word, words(f"{reason}free {', '.join(free)}; {asked}")


def pending_facts(pod: Pod, explanation: Explanation) -> dict[str, Any]:
    """The same for programs."""
    return {
        "pod": str(pod.key),
        "message": explanation.message,
        "node": explanation.node or None,
        "reasons": dict(reasons_counted(explanation)),
        "nodes": [_node_facts(node) for node in explanation.nodes],
    }


def _node_facts(node: NodeAnswer) -> Mapping[str, Any]:
    return {
        "name": node.name,
        "fits": node.fits,
        **({"score": round(node.score, 4)} if node.fits else {}),
        "refusals": [_refusal(refusal) for refusal in node.refusals],
        "cards": [_card_facts(card) for card in node.cards],
    }


def _card_facts(card: CardAnswer) -> Mapping[str, Any]:
    device = card.device
    return {
        "index": device.index,
        "uuid": device.uuid,
        "vendor": card.family,
        "reason": card.reason,
        "memory_mib": {"free": device.memory_mib - card.used_memory_mib, "asked": card.asked_memory_mib},
        "cores": {"free": device.cores - card.used_cores, "asked": card.asked_cores},
        "shares": {"free": device.slots - card.used_slots},
    }


def _refusal(refusal: Refusal) -> Mapping[str, Any]:
    counts = {} if refusal.devices is None else {"devices": refusal.devices, "of": refusal.of}
    return {"reason": refusal.reason, **counts, **({"detail": refusal.detail} if refusal.detail else {})}


# -- pods that have their cards ----------------------------------------------------------------------------------


def bound_facts(pod: Pod, record: PodRecord | None) -> dict[str, Any]:
    """What a pod was given, share by share."""
    names = [container.name for container in pod.containers]
    rows = [
        {
            "container": names[position] if position < len(names) else f"container {position}",
            "vendor": family,
            **dataclasses.asdict(share),
        }
        for family, position, share in (record.allocation.shares() if record is not None else ())
    ]
    return {
        "pod": str(pod.key),
        "node": pod.node_name or None,
        "phase": pod.phase,
        "allocation": pod.annotations.get(protocol.BIND_PHASE),
        "problems": dict(record.problems) if record is not None else {},
        "devices": rows,
    }


def tell_bound(console: Console, pod: Pod, record: PodRecord | None) -> None:
    """The same for people."""
    facts = bound_facts(pod, record)
    if pod.terminal:
        console.print(words(f"{pod.key} is {pod.phase} and holds nothing any more"))
        return
    phase = facts["allocation"]
    console.print(words(f"{pod.key} is bound to {pod.node_name}" + (f", its cards: {phase}" if phase else "")))
    for family, problem in facts["problems"].items():
        console.print(words(f"{family}: {problem}", "yellow"))
    for row in facts["devices"]:
        cores = f", {row['cores']} cores" if row["cores"] else ""
        console.print(words(f"  {row['container']}: {row['uuid']} ({row['vendor']}) {row['memory_mib']} MiB{cores}"))
    if not facts["devices"] and not facts["problems"]:
        console.print("  it holds no cards")


def tell_decided_again(console: Console, told: str, again: Explanation, detail: Detail) -> None:
    """How it was decided, by the event as long as that is kept, and how it would be without the pod itself."""
    console.print()
    if told:
        console.print(words(f"Decided: {told}"))
    else:
        console.print(words(f"The event of its decision is gone. Decided again, without itself: {again.message}"))
    if detail is not Detail.REASONS:
        console.print()
        console.print("What each node would answer now, without the pod itself:")
        _tell_nodes(console, again, detail)
