"""Decisions in the log: a line each, with ``-v`` a line per node, with ``-vv`` a line per card as well.

The line of a decision is as long in a large cluster as in a small one: it tells shares of the nodes, not their names.
"""

from __future__ import annotations

import logging

from hami_operator.core.cluster import Cluster
from hami_operator.core.explain import NodeAnswer, node_answer
from hami_operator.core.kept import Blanket
from hami_operator.core.model import Pod
from hami_operator.core.reasons import refusals_text
from hami_operator.core.schedule import Placement, Unschedulable
from hami_operator.kube.eventlog import shorten

#: The level of what is said per card, below DEBUG.
CARDS = 5

#: Bytes of a decision's sentence. With time, level and the longest pod name a line stays below 1 KiB.
SENTENCE_BYTES = 600

log = logging.getLogger(__name__)


def tell(pod: Pod, decision: Placement | Unschedulable, message: str, cluster: Cluster, now: float) -> None:
    """Log a decision. To be called before it is reserved, since nodes are asked again for the lines per card.

    ``message`` is its sentence, which is logged where it speaks of no nodes.
    """
    log.info("%s: %s", pod.key, shorten(_sentence(decision) or message, SENTENCE_BYTES))
    if not log.isEnabledFor(logging.DEBUG):
        return
    kept = decision.kept
    for name in sorted(kept.verdicts):
        verdict = kept.verdicts[name]
        answer = f"fits, score {verdict.score:.2f}" if verdict.fits else refusals_text(verdict.refusals)
        log.debug("%s: node %s: %s", pod.key, name, answer)
        if log.isEnabledFor(CARDS):
            _tell_cards(pod, node_answer(pod, cluster, kept, name, now))


def _sentence(decision: Placement | Unschedulable) -> str:
    """What the nodes answered, as shares of them; empty where none was asked."""
    kept = decision.kept
    if isinstance(kept, Blanket) or not kept.verdicts:
        return ""
    nodes = len(kept.verdicts)
    if isinstance(decision, Placement):
        score = kept.verdicts[decision.node].score
        return f"find fit node({decision.node}:{score:.2f}), {_share(kept.fitting, nodes)} of nodes fit"
    ordered = sorted(kept.reasons().items(), key=lambda item: (-item[1], item[0]))
    reasons = ", ".join(f"{_share(count, nodes)} {reason}" for reason, count in ordered)
    quotas = ", ".join(str(blocked.quota) for blocked in decision.blocked)
    return f"no available node: {reasons}" + (f"; refused by quota {quotas}" if quotas else "")


def _share(count: int, nodes: int) -> str:
    percent = 100 * count / nodes
    return "<1%" if 0 < percent < 1 else f"{int(percent)}%"


def _tell_cards(pod: Pod, node: NodeAnswer) -> None:
    for card in node.cards:
        device = card.device
        log.log(
            CARDS,
            "%s: node %s: card %s: %s; free %d MiB, %d cores, %d slots; asked %d MiB, %d cores",
            pod.key,
            node.name,
            device.uuid,
            card.reason or "takes it",
            device.memory_mib - card.used_memory_mib,
            device.cores - card.used_cores,
            device.slots - card.used_slots,
            card.asked_memory_mib,
            card.asked_cores,
        )
