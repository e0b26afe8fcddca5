"""What no cluster could look like, in sentences: so that nobody believes an answer about nonsense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hami_operator.core.inventory import Inventory, NodeDevices
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Node
from hami_operator.core.vendor import Amounts

from .entries import Entry
from .scenario import WorldPod

_SHOWN = 80
_CARDS_NAMED = 8


def annotation_sentence(entry: Entry, annotations: Mapping[str, str], problem: str) -> str:
    """The sentence for an annotation that the decoder could not read; ``problem`` begins with its key."""
    key = max((key for key in annotations if problem.startswith(key)), key=len, default="")
    value = annotations.get(key, "")
    shown = repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
    return f"{entry}: metadata.annotations[{key}]: {shown}: {problem.removeprefix(key).lstrip(': ')}"


def check_pods(pods: Sequence[WorldPod], inventory: Inventory, ledger: Ledger) -> Iterator[str]:
    """Pods on nodes that are not there, and with cards that their node does not have."""
    for item in pods:
        if item.pod.terminal:
            continue
        entry = inventory.get(item.pod.node_name)
        if entry is None:
            yield item.entry.wrong("spec.nodeName", item.pod.node_name, "the name of a Node of the input")
            continue
        record = ledger.record(item.pod.key.uid)
        for family, _, share in record.allocation.shares() if record else ():
            cards = [device.uuid for device in entry.devices.get(family, ())]
            if share.card not in cards and family not in entry.broken:
                more = ", ..." if len(cards) > _CARDS_NAMED else ""
                allowed = (
                    f"a {family} card of node {entry.node.name} ({', '.join(cards[:_CARDS_NAMED]) or 'none'}{more})"
                )
                yield item.entry.wrong("metadata.annotations: card", share.card, allowed)


def check_cards(nodes: Sequence[tuple[Entry, Node]], inventory: Inventory, ledger: Ledger) -> Iterator[str]:
    """Cards that are given beyond what they have."""
    for entry, node in nodes:
        known = inventory.get(node.name)
        if known is not None:
            yield from _check_node(entry, known, ledger)


def _check_node(entry: Entry, known: NodeDevices, ledger: Ledger) -> Iterator[str]:
    usage = ledger.usage(known.node.name)
    for family, devices in known.devices.items():
        totals = usage.cards.get(family, {})
        for device in devices:
            used = totals.get(device.uuid)
            capacity = Amounts(device.slots, device.memory_mib, device.cores)
            for position, name in enumerate(("slots", "memory", "cores")):
                if used is not None and used[position] > capacity[position]:
                    holders = ", ".join(
                        f"{record.key} {held[device.uuid][position]}"
                        for record in usage.pods.values()
                        if device.uuid in (held := record.held.get(family, {}))
                    )
                    yield (
                        f"{entry}: {family} card {device.uuid!r}: {name}: {used[position]} is given ({holders}), "
                        f"allowed is at most {capacity[position]}"
                    )
