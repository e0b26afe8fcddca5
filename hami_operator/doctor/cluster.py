"""What is wrong with nodes and pods: silent plugins, old locks, allocations that can't be read, pods of nobody."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from hami_operator.core import protocol
from hami_operator.core.decode import asks_for
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Pod
from hami_operator.core.vendor import lock_keys

from .facts import Facts, Finding

#: A lock is held for as long as a plugin takes to hand out cards: a second or two.
OLD_LOCK_SECONDS = 60.0
#: HAMi 2.7's plugin reports every 30 s.
SILENT_SECONDS = 120.0


def plugins(facts: Facts) -> Iterator[Finding]:
    """Device plugins that are not at work, or fell silent."""
    profiles = {profile.key: profile for profile in facts.live.cluster.profiles}
    for entry in sorted(facts.live.cluster.inventory, key=lambda entry: entry.node.name):
        name = entry.node.name
        for family in sorted(entry.devices.keys() - entry.live):
            yield Finding(
                f"node {name}: {family} cards are registered and none is allocatable: the plugin is not at work",
                f"look at the device plugin's pod on {name}",
            )
        for family, problem in sorted(entry.broken.items()):
            yield Finding(
                f"node {name}: {family}: {problem}; the last good list is kept",
                f"restart the device plugin on {name}, so that it registers anew",
            )
        for family in sorted(entry.live):
            age = _report_age(entry.node.annotations.get(profiles[family].handshake_key, ""), facts.now)
            if age is not None and age > SILENT_SECONDS:
                yield Finding(
                    f"node {name}: the {family} plugin has reported nothing for {age:.0f} s",
                    f"look at the device plugin's pod on {name}",
                )


def _report_age(handshake: str, now: float) -> float | None:
    """Seconds since ``Reported <time>``; None for other words, and for times in a form that is not known."""
    word, _, text = handshake.replace("_", " ", 1).partition(" ")
    parts = text.split(" ")
    if word != "Reported" or len(parts) < 2:
        return None
    clock = f"{parts[0].replace('.', '-')}T{parts[1].partition('.')[0]}"
    try:
        moment = datetime.datetime.fromisoformat(clock)
    except ValueError:
        return None
    zone = parts[2] if len(parts) > 2 else "+0000"
    offset = datetime.datetime.strptime(zone, "%z").utcoffset() if zone[:1] in "+-" and len(zone) == 5 else None
    return now - (moment - (offset or datetime.timedelta())).replace(tzinfo=datetime.UTC).timestamp()


def locks(facts: Facts) -> Iterator[Finding]:
    """Node locks that are older than any plugin's work, with who holds them."""
    keys = lock_keys(facts.live.cluster.profiles)
    for entry in sorted(facts.live.cluster.inventory, key=lambda entry: entry.node.name):
        for key in keys:
            if (text := entry.node.annotations.get(key)) is not None:
                yield from _lock(entry.node.name, key, text, facts.now)


def _lock(node: str, key: str, text: str, now: float) -> Iterator[Finding]:
    remedy = f"kubectl annotate node {node} {key}-"
    try:
        lock = protocol.parse_lock(text)
    except ProtocolError:
        yield Finding(f"node {node}: its lock {text!r} can't be read", remedy)
        return
    age = now - lock.taken
    if age > OLD_LOCK_SECONDS:
        holder = f"{lock.namespace}/{lock.name}" if lock.name else "nobody that it names"
        yield Finding(f"node {node} has been locked for {age:.0f} s by {holder}", remedy)


def quarantine(facts: Facts) -> Iterator[Finding]:
    """Pods whose allocation can't be read."""
    for record in facts.live.cluster.ledger.records():
        key = record.key
        for family, problem in sorted(record.problems.items()):
            yield Finding(
                f"pod {key}: {problem}: {record.node} takes no new {family} pods",
                f"mend the annotation, or delete the pod: kubectl -n {key.namespace} delete pod {key.name}",
            )


def strays(facts: Facts) -> Iterator[Finding]:
    """Pods that ask for cards and are nobody's."""
    for pod in sorted(facts.live.pods.values(), key=lambda pod: str(pod.key)):
        if pod.terminal or pod.scheduler_name == facts.scheduler_name or not _wants_cards(pod, facts):
            continue
        if pod.node_name and protocol.OWN_ALLOCATION in pod.annotations:
            continue
        yield Finding(
            f"pod {pod.key} asks for cards under the scheduler {pod.scheduler_name!r}: nobody accounts for them",
            f"create it anew with schedulerName: {facts.scheduler_name} (or none, where the webhook is asked)",
        )


def _wants_cards(pod: Pod, facts: Facts) -> bool:
    allocated: Iterable[str] = (profile.allocated_key for profile in facts.live.cluster.profiles)
    if pod.node_name and any(key in pod.annotations for key in allocated):
        return False  # HAMi's own, from before
    return any(asks_for(pod, profile) for profile in facts.live.cluster.profiles)
