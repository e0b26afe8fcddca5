"""Who holds what: counted once, whatever the order of news; unknown shares block, they never free."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hami_operator.core import protocol
from hami_operator.core.ledger import TOMBSTONE_SECONDS, Ledger
from hami_operator.core.model import Allocation, Pod, Share
from hami_operator.core.objects import read_pod
from hami_operator.core.vendor import Amounts
from tests.builders import ALLOCATED, NOW, NVIDIA, bound, container, pod, pod_object


def told(version: int, *, node: str = "n1", text: str = "GPU-a,NVIDIA,3000,30:;", phase: str = "Running") -> Pod:
    """The pod ``p`` as one event shows it."""
    annotations = {protocol.POD_NODE: node, ALLOCATED: text} if node else {}
    obj = pod_object(
        "p",
        container(gpu=1),
        metadata={"uid": "u", "resourceVersion": str(version), "annotations": annotations},
        nodeName=node or None,
    )
    return read_pod({**obj, "status": {"phase": phase}})


def ledger(*pods: Pod) -> Ledger:
    result = Ledger([NVIDIA])
    for item in pods:
        result.observe(item, NOW)
    return result


def held(known: Ledger, node: str = "n1") -> dict[str, Amounts]:
    assert known.audit() == []
    return known.usage(node).cards.get("NVIDIA", {})


ALLOCATION = Allocation({"NVIDIA": ((Share("GPU-a", "NVIDIA", 3000, 30),),)})


def test_a_running_pod_holds_what_its_annotation_says() -> None:
    assert held(ledger(told(1))) == {"GPU-a": Amounts(1, 3000, 30)}


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_holds_nothing(phase: str) -> None:
    known = ledger(told(1))
    assert known.observe(told(2, phase=phase), NOW).freed
    assert held(known) == {}


def test_annotations_of_a_pod_that_is_bound_nowhere_are_no_reservation() -> None:
    spoofed = pod("p", container(gpu=1), annotations={protocol.POD_NODE: "n1", ALLOCATED: "GPU-a,NVIDIA,1,1:;"})
    assert held(ledger(spoofed)) == {}


def test_a_pod_that_asks_for_no_card_holds_none() -> None:
    assert held(ledger(bound("p", "n1", "GPU-a,NVIDIA,3000,30:;", container(cpu=1)))) == {}


def test_our_own_record_is_read_before_the_vendors_key() -> None:
    annotations = {
        protocol.POD_NODE: "n1",
        protocol.OWN_ALLOCATION: protocol.encode_allocation(ALLOCATION),
        ALLOCATED: "GPU-b,NVIDIA,1,1:;",
    }
    assert held(ledger(pod("p", container(gpu=1), annotations=annotations, nodeName="n1"))) == {
        "GPU-a": Amounts(1, 3000, 30)
    }


def test_a_consumed_list_frees_nothing_while_our_record_stands() -> None:
    annotations = {protocol.OWN_ALLOCATION: protocol.encode_allocation(ALLOCATION), ALLOCATED: ""}
    known = ledger(pod("p", container(gpu=1), annotations=annotations, nodeName="n1"))
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}


# -- order of news -----------------------------------------------------------------------------------------------


def test_older_news_changes_nothing() -> None:
    known = ledger(told(5))
    assert known.observe(told(4, text="GPU-b,NVIDIA,1,1:;"), NOW).stale
    assert known.observe(told(9, phase="Succeeded"), NOW).freed
    assert known.observe(told(8), NOW).stale
    assert held(known) == {}


def test_versions_are_compared_as_numbers() -> None:
    known = ledger(told(9))
    assert known.observe(told(10, text="GPU-b,NVIDIA,1,1:;"), NOW).changed
    assert held(known) == {"GPU-b": Amounts(1, 1, 1)}


def test_nothing_without_a_node_takes_a_node_away() -> None:
    known = ledger(told(5))
    assert known.observe(told(6, node=""), NOW).stale
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}


def test_a_uid_that_went_stays_gone_for_ten_minutes() -> None:
    known = ledger(told(5))
    assert known.gone("u", NOW).freed
    assert known.observe(told(6), NOW).stale
    known.expire_tombstones(NOW + TOMBSTONE_SECONDS - 1)
    assert known.observe(told(6), NOW).stale
    known.expire_tombstones(NOW + TOMBSTONE_SECONDS)
    assert not known.observe(told(6), NOW).stale


def test_the_same_news_twice_is_no_change() -> None:
    known = ledger(told(5))
    again = known.observe(told(6), NOW)
    assert not again.changed
    assert not again.freed
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}


def test_a_pod_bound_elsewhere_moves() -> None:
    known = Ledger([NVIDIA])
    known.assume(told(1, node=""), "n1", ALLOCATION)
    change = known.observe(told(2, node="n2"), NOW)
    assert (change.node, change.freed) == ("n1", True)
    assert held(known) == {}
    assert held(known, "n2") == {"GPU-a": Amounts(1, 3000, 30)}


# -- our own reservations ----------------------------------------------------------------------------------------


def test_a_reservation_holds_until_it_is_forgotten() -> None:
    known = Ledger([NVIDIA])
    known.assume(told(1, node=""), "n1", ALLOCATION)
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}
    assert known.observe(told(2, node=""), NOW).stale
    assert known.forget("u").freed
    assert held(known) == {}
    assert known.usage("n1").pods == {}


def test_a_second_decision_replaces_the_first() -> None:
    known = Ledger([NVIDIA])
    known.assume(told(1, node=""), "n1", ALLOCATION)
    known.assume(told(1, node=""), "n2", ALLOCATION)
    assert held(known) == {}
    assert held(known, "n2") == {"GPU-a": Amounts(1, 3000, 30)}


def test_a_confirmed_reservation_is_not_forgotten_any_more() -> None:
    known = Ledger([NVIDIA])
    known.assume(told(1, node=""), "n1", ALLOCATION)
    known.confirm("u")
    assert not known.forget("u").freed
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}
    assert known.observe(told(1, node=""), NOW).stale


def test_a_record_that_was_observed_meanwhile_is_not_forgotten() -> None:
    known = Ledger([NVIDIA])
    known.assume(told(1, node=""), "n1", ALLOCATION)
    known.observe(told(2), NOW)
    assert not known.forget("u").freed
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}


def test_nobody_is_forgotten_or_confirmed_who_was_never_there() -> None:
    known = Ledger([NVIDIA])
    known.confirm("u")
    assert not known.forget("u").changed
    assert not known.gone("u", NOW).changed


# -- what can't be read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["GPU-a,NVIDIA:;", "GPU-a,NVIDIA,x,10:;", "rubbish;"])
def test_a_share_that_cannot_be_read_quarantines_its_node_and_family(text: str) -> None:
    known = Ledger([NVIDIA])
    change = known.observe(told(1, text=text), NOW)
    assert ALLOCATED in change.problems["NVIDIA"]
    assert known.usage("n1").quarantined() == change.problems
    assert known.observe(told(2), NOW).changed
    assert known.usage("n1").quarantined() == {}
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}


def test_a_quarantine_ends_with_its_pod() -> None:
    known = ledger(told(1, text="rubbish;"))
    known.gone("u", NOW)
    assert known.usage("n1").quarantined() == {}


def test_the_last_good_share_of_a_pod_is_kept() -> None:
    known = ledger(told(1))
    assert known.observe(told(2, text="rubbish;"), NOW).problems == {}
    assert known.usage("n1").quarantined() == {}
    assert held(known) == {"GPU-a": Amounts(1, 3000, 30)}


def test_a_problem_is_told_when_it_is_new() -> None:
    known = ledger(told(1, text="rubbish;"))
    assert known.observe(told(2, text="rubbish;"), NOW).problems == {}
    assert known.observe(told(3, text="other;"), NOW).problems != {}


def test_a_pod_annotated_for_another_node_is_not_believed() -> None:
    annotations = {protocol.POD_NODE: "n2", ALLOCATED: "GPU-a,NVIDIA,3000,30:;"}
    known = Ledger([NVIDIA])
    change = known.observe(pod("p", container(gpu=1), annotations=annotations, nodeName="n1"), NOW)
    assert "is 'n2' but the pod runs on 'n1'" in change.problems["NVIDIA"]
    assert held(known) == {}
    assert held(known, "n2") == {}
    assert "NVIDIA" in known.usage("n1").quarantined()


# -- what else a pod holds ---------------------------------------------------------------------------------------


def test_amounts_and_pods_of_a_node_are_counted() -> None:
    known = ledger(*(pod(f"p{i}", container("a", cpu="500m", memory="1Ki", gpu=1), nodeName="n1") for i in range(3)))
    usage = known.usage("n1")
    assert (usage.cpu_milli, usage.memory_bytes, len(usage.pods)) == (1500, 3072, 3)
    assert usage.extended == {"nvidia.com/gpu": 3}
    assert {record.key.uid for record in known.records()} == {f"default/p{i}" for i in range(3)}
    for record in list(known.records()):
        known.gone(record.key.uid, NOW)
    assert known.audit() == []
    assert known.usage("n1").extended == {}


def test_an_init_container_gives_back_what_it_held_when_it_is_done() -> None:
    init = [container("prep", gpu=1, mem=8000)]
    annotations = {ALLOCATED: "GPU-b,NVIDIA,8000,0:;GPU-b,NVIDIA,2000,0:;"}
    obj: dict[str, Any] = pod_object(
        "p", container(gpu=1, mem=2000), metadata={"annotations": annotations}, initContainers=init, nodeName="n1"
    )
    known = ledger(read_pod(obj))
    assert held(known) == {"GPU-b": Amounts(1, 8000, 0)}
    done = {**obj, "status": {"conditions": [{"type": "Initialized", "status": "True"}]}}
    assert known.observe(read_pod(done), NOW).freed
    assert held(known) == {"GPU-b": Amounts(1, 2000, 0)}


def test_labels_matter_while_some_pod_keeps_others_away() -> None:
    rule = {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}
    term = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
    known = Ledger([NVIDIA])
    assert not known.labels_matter
    known.observe(pod("p", affinity=term, nodeName="n1"), NOW)
    assert known.labels_matter
    known.gone("default/p", NOW)
    assert not known.labels_matter


def test_the_audit_finds_a_total_that_was_changed_by_others() -> None:
    known = ledger(told(1))
    usage = known.usage("n1")
    usage.cards["NVIDIA"]["GPU-a"] = Amounts(1, 1, 1)
    usage.cpu_milli += 1
    lines = known.audit()
    assert [line.partition(" is kept")[0] for line in lines] == ["node n1: cpu_milli", "node n1: cards"]


def test_the_journal_names_nodes_whose_totals_changed() -> None:
    known = ledger(told(1))
    position = known.journal.position
    known.observe(told(2), NOW)
    assert known.journal.since(position) == set()
    known.observe(replace(told(3), phase="Failed"), NOW)
    assert known.journal.since(position) == {"n1"}
