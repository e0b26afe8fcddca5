"""When a node lock may be taken from its holder. Pure: states in, verdict out.

Right behaviour of HAMi v2.7.0 pkg/util/nodelock/nodelock.go, which waits for a dead holder until the timeout, is stuck
for ever on a text it can't read, and takes an expired lock from a pod that still waits for its cards.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from hami_operator.core.protocol import BIND_PHASE, SERVED, Phase

TERMINAL = frozenset({"Succeeded", "Failed"})
RUNNING = "Running"


@dataclass(frozen=True, slots=True)
class Marks:
    """The pod annotations in which the plugin behind a lock tells how far it is.

    ``phase`` holds a ``Phase``; ``served`` (of locks of our own) becomes ``true`` when the pod has its cards.
    """

    phase: str = BIND_PHASE
    served: str = ""


#: Of a lock that nothing else is known of.
PLAIN = Marks()


class Holder(enum.Enum):
    """Where the pod that a lock names stands."""

    UNREADABLE = "the lock's text can't be read"
    UNNAMED = "the lock names no pod"
    GONE = "the pod is gone"
    TERMINAL = "the pod has ended"
    FAILED = "the device plugin failed the pod"
    SERVED = "the pod has its cards"
    RUNNING = "the pod runs, though its device plugin does not say that it has its cards"
    ELSEWHERE = "the pod is bound to another node"
    LOOSE = "the pod is ours, unbound, and nobody is binding it"
    IN_HAND = "we are binding the pod"
    ALLOCATING = "the pod waits for its cards"
    OTHER = "the pod does not wait for cards"


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet. ``seconds`` until the passing of time alone may change that (inf: never)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Take:
    """The lock may be taken. ``fence`` first, if the holder's Binding may be under way; ``warn`` if it is by force."""

    holder: Holder
    fence: bool = False
    warn: bool = False


#: Of whom a lock may be taken at once; with a warning, where something is not as it should be.
_AT_ONCE = frozenset(Holder) - {Holder.UNNAMED, Holder.IN_HAND, Holder.ALLOCATING, Holder.OTHER}
_WARN = frozenset({Holder.UNREADABLE, Holder.RUNNING})

#: A pod that was deleted by force leaves its kubelet's Allocate call behind, and that call does not say for which pod
#: it is: the plugin would serve it the cards of whoever holds the lock by then. So a lock must be this old, in seconds.
GONE_SECONDS = 5.0


def judge(holder: Holder, age_s: float, timeout_s: float) -> Take | Wait:
    """Whether a lock that is ``age_s`` seconds old may be taken from ``holder``."""
    if holder in (Holder.GONE, Holder.RUNNING) and age_s < GONE_SECONDS:
        return Wait(GONE_SECONDS - age_s)
    if holder in _AT_ONCE:
        return Take(holder, fence=holder is Holder.LOOSE, warn=holder in _WARN)
    if holder is Holder.IN_HAND:
        return Wait(math.inf)
    if age_s >= 2 * timeout_s:
        return Take(holder, warn=True)
    if holder is Holder.ALLOCATING:
        return Wait(2 * timeout_s - age_s)
    return Take(holder) if age_s >= timeout_s else Wait(timeout_s - age_s)


def read_holder(
    pod: Mapping[str, Any] | None, node: str, scheduler_name: str, in_hand: Set[str], marks: Marks = PLAIN
) -> Holder:
    """The state of the pod object that the lock of ``node`` names; None: there is no such pod.

    ``in_hand`` are the uids of the pods that we are binding.
    """
    if pod is None:
        return Holder.GONE
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    stage, annotations = (pod.get("status") or {}).get("phase"), metadata.get("annotations") or {}
    if stage in TERMINAL:
        return Holder.TERMINAL
    phase = annotations.get(marks.phase)
    if phase == Phase.FAILED:
        return Holder.FAILED
    if marks.served and spec.get("nodeName") == node:  # then our Binding has landed, whether we know it or not
        if annotations.get(marks.served) == SERVED:
            return Holder.SERVED
        if stage == RUNNING:
            return Holder.RUNNING
    if metadata.get("uid") in in_hand:
        return Holder.IN_HAND
    if not spec.get("nodeName"):
        if spec.get("schedulerName") == scheduler_name:
            return Holder.LOOSE
    elif spec["nodeName"] != node:
        return Holder.ELSEWHERE
    return Holder.ALLOCATING if phase == Phase.ALLOCATING else Holder.OTHER
