"""What is kept of the nodes' verdicts equals what a look at all of them would say, whatever came and went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core.allocate import Demand
from hami_operator.core.kept import ALLOCATIONS_KEPT, Kept, Verdict
from hami_operator.core.model import Allocation
from hami_operator.core.reasons import Reason, Refusal, Tally, unschedulable_text
from hami_operator.core.vendor import CardPolicy

NAMES = [f"n{number}" for number in range(5)]

refusals = st.lists(
    st.builds(
        Refusal,
        st.sampled_from([Reason.INSUFFICIENT_CPU, Reason.CARD_NOT_HEALTH, Reason.TAINT_NOT_TOLERATED]),
        detail=st.sampled_from(["", "a", "b"]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
verdicts = st.one_of(
    st.none(),
    st.builds(Verdict, score=st.sampled_from([0.0, 1.5, 1.5, 3.0]), busy=st.booleans()),
    st.builds(Verdict, refusals=refusals),
)
news = st.lists(st.tuples(st.sampled_from(NAMES), verdicts), max_size=60)


def kept(policy: str) -> Kept:
    return Kept(Demand((), (), CardPolicy(), policy))


def order(item: tuple[str, Verdict], policy: str) -> tuple[float, bool, str]:
    name, verdict = item
    return (-verdict.score if policy == "binpack" else verdict.score, verdict.busy, name)


@pytest.mark.parametrize("policy", ["binpack", "spread"])
@given(plan=news)
def test_the_best_node_is_that_of_a_look_at_all(policy: str, plan: list[tuple[str, Verdict | None]]) -> None:
    known, world = kept(policy), dict[str, Verdict]()
    for name, verdict in plan:
        known.put(name, verdict)
        world.pop(name, None)
        if verdict is not None:
            world[name] = verdict
        fitting = sorted((item for item in world.items() if item[1].fits), key=lambda item: order(item, policy))
        assert known.best() == (fitting[0][0] if fitting else None)
        assert known.leading(3) == [(name, verdict.score) for name, verdict in fitting[:3]]
        assert known.fitting == len(fitting)
        assert known.verdicts == world


@given(plan=news)
def test_the_sentence_is_that_of_a_look_at_all(plan: list[tuple[str, Verdict | None]]) -> None:
    known, world = kept("binpack"), dict[str, Verdict]()
    for name, verdict in plan:
        known.put(name, verdict)
        world.pop(name, None)
        if verdict is not None:
            world[name] = verdict
        tallies: dict[Reason, Tally] = {}
        for node in sorted(world):
            for refusal in world[node].refusals:
                tally = tallies.setdefault(refusal.reason, Tally())
                if node not in tally.nodes:
                    tally.nodes.append(node)
                tally.details[refusal.detail] += 1
        assert known.sentence() == unschedulable_text(tallies, len(world))
        assert known.reasons() == {reason: len(tally.nodes) for reason, tally in tallies.items()}


def test_a_node_that_changes_all_the_time_does_not_fill_the_memory() -> None:
    known = kept("binpack")
    for number in range(10_000):
        known.put("n1", Verdict(score=float(number % 7)))
    known.put("n1", Verdict(score=2.0))
    assert known.best() == "n1"
    assert len(known._heap) < 200


def test_only_the_newest_allocations_are_kept() -> None:
    known = kept("binpack")
    for number in range(ALLOCATIONS_KEPT + 5):
        known.keep(f"n{number}", Allocation())
    assert list(known.allocations) == [f"n{number}" for number in range(5, ALLOCATIONS_KEPT + 5)]
