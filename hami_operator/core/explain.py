"""Why a pod waits, node by node and card by card: the decision run again from nothing, with a witness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .cluster import Cluster
from .kept import Blanket, Kept
from .model import Device, Pod
from .reasons import Reason, Refusal
from .schedule import Blocked, Placement, Unschedulable, ask, schedule
from .vendor import CardState, Charge, FitContext


@dataclass(frozen=True, slots=True)
class CardAnswer:
    """What became of one card for one request: why it was refused, or None; and what it would have cost."""

    family: str
    device: Device
    used_slots: int
    used_memory_mib: int
    used_cores: int
    asked_memory_mib: int
    asked_cores: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """One node: its score where it fits, else its refusals; the cards looked at, those of the last request.

    No cards where they were not asked.
    """

    name: str
    fits: bool
    score: float
    refusals: tuple[Refusal, ...]
    cards: tuple[CardAnswer, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The sentence, the chosen node (empty: none), every node by name, and the quotas that refuse."""

    message: str
    node: str
    nodes: tuple[NodeAnswer, ...]
    blocked: tuple[Blocked, ...] = ()


@dataclass(slots=True)
class _Witness:
    """Remembers the cards of the request that is looked at; a new request begins a new list."""

    context: FitContext | None = None
    cards: list[CardAnswer] = field(default_factory=list)

    def __call__(self, context: FitContext, state: CardState, charge: Charge, reason: Reason | None) -> None:
        if context is not self.context:
            self.context, self.cards = context, []
        self.cards.append(
            CardAnswer(
                context.profile.key,
                state.device,
                state.used_slots,
                state.used_memory_mib,
                state.used_cores,
                charge.memory_mib,
                charge.cores,
                reason,
            )
        )


def explain(pod: Pod, cluster: Cluster, now: float) -> Explanation:
    """Decide anew where the pod would go now, and keep what every node answered. Nothing is reserved."""
    decision = schedule(pod, cluster, now)
    verdicts = sorted(decision.kept.verdicts.items())
    nodes = (NodeAnswer(name, verdict.fits, verdict.score, verdict.refusals, ()) for name, verdict in verdicts)
    return _explanation(decision, nodes)


def explain_cards(pod: Pod, cluster: Cluster, now: float) -> Explanation:
    """The same with what every card answered, which costs about as much again."""
    decision = schedule(pod, cluster, now)
    names = sorted(decision.kept.verdicts)
    return _explanation(decision, (node_answer(pod, cluster, decision.kept, name, now) for name in names))


def _explanation(decision: Placement | Unschedulable, nodes: Iterable[NodeAnswer]) -> Explanation:
    node = decision.node if isinstance(decision, Placement) else ""
    blocked = decision.blocked if isinstance(decision, Unschedulable) else ()
    return Explanation(decision.message, node, tuple(nodes), blocked)


def node_answer(pod: Pod, cluster: Cluster, kept: Kept | Blanket, name: str, now: float) -> NodeAnswer:
    """What one node answered, with its cards asked again as they stand now. ``kept`` must know the node."""
    verdict = kept.verdicts[name]
    witness = _Witness()
    if kept.demand.families:
        ask(pod, kept, name, cluster, now, witness)
    cards = sorted(witness.cards, key=lambda card: (card.device.index, card.device.uuid))
    return NodeAnswer(name, verdict.fits, verdict.score, verdict.refusals, tuple(cards))
