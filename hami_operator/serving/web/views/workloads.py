"""``/workloads`` and ``/workloads/<namespace>/<pod>``: every allocation, and how it was decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hami_operator.core.explain import NodeAnswer, node_answer
from hami_operator.core.model import Pod, PodKey
from hami_operator.core.record import PodRecord
from hami_operator.core.schedule import Placement, schedule
from hami_operator.diary import Decided
from hami_operator.serving.metrics.series import in_own_units
from hami_operator.serving.sight import Sight

from .paging import Page, Query, paged
from .pending import PendingRow, pending_row

#: Nodes whose answers are shown with their cards.
NODES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class ShareRow:
    """What a container was given of a card: memory in MiB, cores in the family's unit."""

    container: str
    family: str
    card: str
    memory_mib: int
    cores: int
    core_unit: str


@dataclass(frozen=True, slots=True)
class WorkloadRow:
    """A pod that holds something. ``phase`` is the plugin's word, or ``reserved`` while it is being bound.

    ``since`` is when it was bound in unix seconds, 0 where that is not known.
    """

    namespace: str
    name: str
    node: str
    phase: str
    since: float
    cards: int
    memory_mib: int
    cores: int
    core_unit: str


@dataclass(frozen=True, slots=True)
class CardAnswerRow:
    """What one card answers: why not (empty: it takes it), what it has free, and what it would cost."""

    index: int
    uuid: str
    reason: str
    free_memory_mib: int
    free_cores: int
    free_slots: int
    asked_memory_mib: int
    asked_cores: int


@dataclass(frozen=True, slots=True)
class NodeAnswerRow:
    """What one node answers: its score where it fits, else its reasons; and the cards it was asked for."""

    name: str
    fits: bool
    score: float
    refusals: list[str]
    cards: list[CardAnswerRow]


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """One pod: what it holds, why it waits, and the last decision about it.

    ``nodes`` are what some of ``nodes_total`` nodes answer now, those that fit first; ``would_go``: the best of them.
    ``advice`` are sentences on what would let it start, as ``explain`` has them; None where that was not asked.
    """

    namespace: str
    name: str
    allocation: WorkloadRow | None
    shares: list[ShareRow]
    problems: list[str]
    waiting: PendingRow | None
    decision: Decided | None
    would_go: str
    nodes_total: int
    nodes: list[NodeAnswerRow]
    advice: list[str] | None = None


def workloads(sight: Sight, query: Query) -> Page[WorkloadRow]:
    """All pods that hold something or whose share can't be read, by namespace and name."""
    records = {
        f"{record.key} {record.key.uid}": record
        for record in sight.world.cluster.ledger.records()
        if record.node and (record.held or record.problems)
    }
    return paged(sorted(records), query, lambda name: _row(sight, records[name]))


def _row(sight: Sight, record: PodRecord) -> WorkloadRow:
    story = sight.history.pod(record.key.uid)
    phase, since = (story.phase, story.since) if story is not None else ("", 0.0)
    amounts = [held for cards in record.held.values() for held in cards.values()]
    return WorkloadRow(
        namespace=record.key.namespace,
        name=record.key.name,
        node=record.node,
        phase="reserved" if record.assumed else "unreadable" if record.problems else phase,
        since=since,
        cards=len(amounts),
        memory_mib=sum(held.memory_mib for held in amounts),
        cores=sum(held.cores for held in amounts),
        core_unit=core_unit(sight, record.held),
    )


def core_unit(sight: Sight, families: Iterable[str]) -> str:
    """``%`` (100 is a card) or ``cores``, where a family has its own unit."""
    own = {profile.key for profile in sight.world.cluster.profiles if in_own_units(profile)}
    return "cores" if own.intersection(families) else "%"


def workload(sight: Sight, namespace: str, name: str) -> WorkloadView | None:
    """One pod; None when it neither holds anything nor waits for us. A pod that waits is asked of every node anew."""
    world = sight.world
    pod = _pending(sight, namespace, name)
    record = _record(sight, namespace, name)
    if pod is None and record is None:
        return None
    key = pod.key if pod is not None else record.key if record is not None else PodKey(namespace, name, "")
    shown = record if record is not None and record.node else None
    answers = _answers(sight, pod) if pod is not None and shown is None else _Answers("", 0, [])
    return WorkloadView(
        namespace=namespace,
        name=name,
        allocation=_row(sight, shown) if shown is not None else None,
        shares=_shares(sight, shown) if shown is not None else [],
        problems=[f"{family}: {text}" for family, text in shown.problems.items()] if shown is not None else [],
        waiting=pending_row(sight, pod) if pod is not None else None,
        decision=world.diary.last(key.uid),
        would_go=answers.best,
        nodes_total=answers.total,
        nodes=answers.nodes,
    )


async def advised(sight: Sight, namespace: str, name: str) -> WorkloadView | None:
    """The same, and for a pod that no node takes what would help."""
    view, pod = workload(sight, namespace, name), _pending(sight, namespace, name)
    if view is None or pod is None or view.allocation is not None or view.would_go:
        return view
    return replace(view, advice=await sight.adviser.advice(pod, sight.world))


@dataclass(frozen=True, slots=True)
class _Answers:
    best: str
    total: int
    nodes: list[NodeAnswerRow]


def _answers(sight: Sight, pod: Pod) -> _Answers:
    """The decision as it would be now, with nothing reserved."""
    cluster, now = sight.world.cluster, sight.world.now()
    decision = schedule(pod, cluster, now)
    verdicts = decision.kept.verdicts
    first = sorted(verdicts, key=lambda name: (not verdicts[name].fits, name))[:NODES_SHOWN]
    nodes = [_answer_row(node_answer(pod, cluster, decision.kept, name, now)) for name in first]
    return _Answers(decision.node if isinstance(decision, Placement) else "", len(verdicts), nodes)


def _answer_row(answer: NodeAnswer) -> NodeAnswerRow:
    cards = [
        CardAnswerRow(
            index=card.device.index,
            uuid=card.device.uuid,
            reason=card.reason.value if card.reason else "",
            free_memory_mib=card.device.memory_mib - card.used_memory_mib,
            free_cores=card.device.cores - card.used_cores,
            free_slots=card.device.slots - card.used_slots,
            asked_memory_mib=card.asked_memory_mib,
            asked_cores=card.asked_cores,
        )
        for card in answer.cards
    ]
    return NodeAnswerRow(answer.name, answer.fits, answer.score, [str(each) for each in answer.refusals], cards)


def _pending(sight: Sight, namespace: str, name: str) -> Pod | None:
    found = (pod for pod in sight.world.queue.pods() if (pod.key.namespace, pod.key.name) == (namespace, name))
    return next(found, None)


def _record(sight: Sight, namespace: str, name: str) -> PodRecord | None:
    """The record of that name; of two (one is on its way out) the one that holds something."""
    found = [
        record
        for record in sight.world.cluster.ledger.records()
        if (record.key.namespace, record.key.name) == (namespace, name) and record.node
    ]
    return max(found, key=lambda record: bool(record.held), default=None)


def _shares(sight: Sight, record: PodRecord) -> list[ShareRow]:
    story = sight.history.pod(record.key.uid)
    names = story.containers if story is not None else ()
    return [
        ShareRow(
            container=names[position] if position < len(names) else f"container {position}",
            family=family,
            card=share.uuid,
            memory_mib=share.memory_mib,
            cores=share.cores,
            core_unit=core_unit(sight, [family]),
        )
        for family, position, share in record.allocation.shares()
    ]
