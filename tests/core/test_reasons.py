"""Reasons become text once, in the words people grep for."""

from __future__ import annotations

from collections import Counter

from hami_operator.core.reasons import Reason, Refusal, Tally, card_refusals, refusals_text, unschedulable_text


def test_card_reasons_are_counted_of_the_cards_offered_in_order_of_name() -> None:
    counts = {Reason.CARD_NOT_HEALTH: 2, Reason.CARD_INSUFFICIENT_MEMORY: 1, Reason.CARD_TYPE_MISMATCH: 1}
    text = refusals_text(card_refusals(counts, 4, {}))
    assert text == "1/4 CardInsufficientMemory, 1/4 CardTypeMismatch, 2/4 CardNotHealth"


def test_a_refusal_without_cards_shows_its_detail() -> None:
    assert str(Refusal(Reason.TAINT_NOT_TOLERATED, detail="gpu=a:NoSchedule")) == "TaintNotTolerated (gpu=a:NoSchedule)"
    assert str(Refusal(Reason.NODE_NOT_READY)) == "NodeNotReady"


def test_a_cluster_without_nodes_is_called_that() -> None:
    assert unschedulable_text({}, 0) == "no available node: the cluster has no nodes"


def test_the_sentence_counts_nodes_by_reason_the_most_frequent_first() -> None:
    tallies = {
        Reason.NODE_UNREGISTERED: Tally(["n9"], Counter({"no NVIDIA cards are registered": 1})),
        Reason.CARD_INSUFFICIENT_MEMORY: Tally(["n1", "n2"], Counter({"": 2})),
    }
    assert unschedulable_text(tallies, 3) == (
        "no available node, 3 nodes do not meet: 2 nodes CardInsufficientMemory(n1,n2); "
        "1 nodes NodeUnregistered(n9): no NVIDIA cards are registered"
    )


def test_no_more_than_five_nodes_are_named_per_reason() -> None:
    names = [f"n{number}" for number in range(8)]
    text = unschedulable_text({Reason.INSUFFICIENT_CPU: Tally(names, Counter())}, 8)
    assert text.endswith("8 nodes InsufficientCpu(n0,n1,n2,n3,n4,and 3 more)")


def test_of_several_details_the_most_frequent_is_shown_and_gone_ones_are_not() -> None:
    details = Counter({"old": 0, "rare": 1, "often": 2})
    text = unschedulable_text({Reason.TAINT_NOT_TOLERATED: Tally(["n1", "n2", "n3"], details)}, 3)
    assert text.endswith("TaintNotTolerated(n1,n2,n3): often")
