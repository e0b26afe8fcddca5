"""Answers to a scheduler that chooses the node itself; the walk of tests/vendors asks the same of all families."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.answers import choose, decide, fits_without, marks, try_on
from hami_operator.core.cluster import Cluster, Policies
from hami_operator.core.kept import Verdict
from hami_operator.core.model import Pod
from hami_operator.core.node_fit import KUBE_SCHEDULERS
from hami_operator.core.quota import OWN_KIND, read_quota
from hami_operator.core.reasons import Reason, Refusal, refusals_text, unfit_text
from hami_operator.core.schedule import Placement, Unschedulable
from tests.builders import NOW, asking, bound, cluster, container, device, node, pod

MEM = "limits.nvidia.com/gpumem"


def world(*texts: str, **policies: Any) -> Cluster:
    """Nodes n1 and n2 with a card of 24576 MiB each; pods that hold so many MiB of one, as ``n1 6000``."""
    pods = []
    for number, text in enumerate(texts):
        name, held = text.split()
        pods.append(bound(f"r{number}", name, f"GPU-{name},NVIDIA,{held},0:;", gpu=1, mem=held))
    found = cluster([node(n, [device(f"GPU-{n}")]) for n in ("n1", "n2")], pods, policies=Policies("binpack", "spread"))
    found.node_fit = KUBE_SCHEDULERS
    return found


def limited(found: Cluster, hard: int) -> Cluster:
    obj = {"metadata": {"name": "team", "namespace": "default"}, "spec": {"hard": {MEM: hard}}}
    found.quotas.put(read_quota(obj, OWN_KIND, found.quotas.keys))
    return found


def fits(asked: Pod, found: Cluster) -> dict[str, bool]:
    _, verdicts = decide(asked, found, NOW)
    return {name: verdict.fits for name, verdict in sorted(verdicts.items())}


# -- filter ------------------------------------------------------------------------------------------------------


def test_every_node_that_has_room_is_named() -> None:
    assert fits(asking(gpu=1, mem=10000), world("n1 20000")) == {"n1": False, "n2": True}
    assert fits(asking(gpu=1, mem=4000), world("n1 20000")) == {"n1": True, "n2": True}


def test_what_kube_scheduler_judges_is_not_judged_but_managed_amounts_are() -> None:
    asked = pod("p", container(gpu=2, mem=10), nodeSelector={"no": "where"}, resourceClaims=[{"name": "c"}])
    tainted = node("n1", [device("GPU-a"), device("GPU-b")], spec={"unschedulable": True})
    few = node("n2", [device("GPU-c"), device("GPU-d")], status={"allocatable": {"nvidia.com/gpu": "1", "cpu": "0"}})
    found = cluster([tainted, few])
    found.node_fit = KUBE_SCHEDULERS
    _, verdicts = decide(asked, found, NOW)
    assert verdicts["n1"].fits
    (refusal,) = verdicts["n2"].refusals
    assert str(refusal) == "InsufficientExtendedResource (nvidia.com/gpu: asked 2, free 1 of 1)"


@pytest.mark.parametrize(("hard", "fitting"), [(12287, []), (12288, ["small"]), (24576, ["large", "small"])])
def test_a_node_whose_card_would_cost_more_than_the_quota_leaves_is_refused(hard: int, fitting: list[str]) -> None:
    """Half a card is charged by its size, so each node is asked within the quota."""
    nodes = [node("large", [device("GPU-l", memory_mib=49152)]), node("small", [device("GPU-s", memory_mib=24576)])]
    found = limited(cluster(nodes), hard)
    asked = asking(gpu=1, pct=50)
    decision, verdicts = decide(asked, found, NOW)
    assert sorted(name for name, verdict in verdicts.items() if verdict.fits) == fitting
    assert isinstance(decision, Placement) == bool(fitting)
    refusals = [each for verdict in verdicts.values() for each in verdict.refusals]
    assert all(refusal.reason is Reason.RESOURCE_QUOTA_NOT_FIT for refusal in refusals)


def test_a_quota_without_room_refuses_everywhere() -> None:
    assert fits(asking(gpu=1, mem=2000), limited(world("n1 1000"), 2500)) == {"n1": False, "n2": False}


def test_a_word_that_is_no_policy_refuses_everywhere() -> None:
    decision, verdicts = decide(asking(gpu=1, annotations={"hami.io/gpu-scheduler-policy": "tight"}), world(), NOW)
    assert isinstance(decision, Unschedulable)
    assert {each.reason for verdict in verdicts.values() for each in verdict.refusals} == {Reason.INVALID_REQUEST}


# -- prioritize --------------------------------------------------------------------------------------------------


def test_equal_nodes_have_equal_marks_and_a_busy_one_less() -> None:
    found = {"a": Verdict(30.0), "b": Verdict(30.0), "c": Verdict(30.0, busy=True), "d": Verdict(20.0)}
    assert marks(found, "abcd", -1.0) == {"a": 10, "b": 10, "c": 9, "d": 0}


def test_marks_fall_with_the_score_by_the_sign_of_the_policy() -> None:
    found = {
        "a": Verdict(0.0),
        "b": Verdict(10.0),
        "c": Verdict(20.0),
        "d": Verdict(refusals=(Refusal(Reason.NUMA_NOT_FIT),)),
    }
    assert marks(found, "abcde", -1.0) == {"a": 0, "b": 4, "c": 10, "d": 0, "e": 0}
    assert marks(found, "abc", 1.0) == {"a": 10, "b": 4, "c": 0}


def test_only_the_nodes_that_are_named_are_compared() -> None:
    found = {"a": Verdict(0.0), "b": Verdict(10.0), "c": Verdict(20.0)}
    assert marks(found, ["a", "b"], -1.0) == {"a": 0, "b": 10}


# -- bind --------------------------------------------------------------------------------------------------------


def test_the_cards_of_the_node_are_chosen_though_another_would_be_better() -> None:
    found = world("n1 4000")
    chosen = choose(asking(gpu=1, mem=1000), "n2", found, NOW)
    assert isinstance(chosen, Placement)
    assert [share.uuid for _, _, share in chosen.allocation.shares()] == ["GPU-n2"]
    assert chosen.message.startswith("find fit node(n2), 0 nodes not fit, 2 nodes fit(")


def test_what_changed_since_the_filter_is_seen() -> None:
    found = world()
    first, second = asking("a", gpu=1, mem=20000), asking("b", gpu=1, mem=20000)
    assert fits(second, found)["n1"]
    taken = choose(first, "n1", found, NOW)
    assert isinstance(taken, Placement)
    found.ledger.assume(first, "n1", taken.allocation)
    refused = choose(second, "n1", found, NOW)
    assert isinstance(refused, tuple)
    assert unfit_text(refused) == "NodeUnfitPod: 1/1 CardInsufficientMemory"


def test_quotas_and_words_that_are_no_policy_are_looked_at_when_the_cards_are_chosen() -> None:
    refused = choose(asking(gpu=1, pct=50), "n1", limited(world(), 12000), NOW)
    assert isinstance(refused, tuple)
    assert {refusal.reason for refusal in refused} == {Reason.RESOURCE_QUOTA_NOT_FIT}
    invalid = choose(asking(gpu=1, annotations={"hami.io/gpu-scheduler-policy": "tight"}), "n1", world(), NOW)
    assert isinstance(invalid, tuple)
    assert invalid[0].reason is Reason.INVALID_REQUEST


def test_a_node_that_is_not_known_gives_nothing() -> None:
    refused = choose(asking(gpu=1), "n9", world(), NOW)
    assert isinstance(refused, tuple)
    assert unfit_text(refused) == "node unregistered: the node is not known"


# -- simulations and victims -------------------------------------------------------------------------------------


def test_a_template_that_the_cluster_does_not_have_is_empty_and_leaves_no_trace() -> None:
    found = world("n1 20000", "n2 20000")
    template, known = node("template", [device("GPU-t")]), node("n1", [device("GPU-n1")])
    answers = try_on(asking(gpu=1, mem=8000), [template, known, node("bare")], found, NOW)
    assert answers["template"] == ()
    assert refusals_text(answers["n1"]) == "1/1 CardInsufficientMemory"
    assert unfit_text(answers["bare"]) == "node unregistered: no NVIDIA cards are registered"
    assert found.inventory.get("template") is None
    assert found.ledger.audit() == []


def test_victims_help_where_they_hold_what_is_missing() -> None:
    found = world("n1 12000", "n1 8000", "n2 20000")
    asked = asking(gpu=1, mem=14000)
    uid = {record.key.name: record.key.uid for record in found.ledger.records()}
    assert fits_without(asked, "n1", [uid["r0"]], found, NOW)
    assert not fits_without(asked, "n1", [uid["r1"]], found, NOW)
    assert not fits_without(asked, "n1", [uid["r2"], "nobody"], found, NOW), "it is on another node"
    assert found.ledger.audit() == []


def test_a_victim_of_the_same_namespace_gives_its_quota_back_too() -> None:
    found = limited(world("n1 20000"), 21000)
    asked = asking(gpu=1, mem=14000)
    (victim,) = (record.key.uid for record in found.ledger.records())
    assert fits_without(asked, "n1", [victim], found, NOW)
    assert not fits_without(asked, "n2", [], found, NOW)
