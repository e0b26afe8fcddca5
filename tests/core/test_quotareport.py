"""The status of a quota object: what the columns and ``kubectl describe`` show."""

from __future__ import annotations

from typing import Any

from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Pod
from hami_operator.core.quota import OWN_KIND, QuotaId, read_quota
from hami_operator.core.quotareport import Waiting, status_of
from hami_operator.core.schedule import Placement, Unschedulable, schedule
from tests.builders import NOW, asking, bound, cluster, device, node

LATER = NOW + 60


def world(hard: dict[str, Any], *running: Pod) -> Cluster:
    found = cluster([node("n1", [device("A"), device("B", index=1)])], running)
    obj = {"metadata": {"name": "team", "namespace": "default", "generation": 3}, "spec": {"hard": hard}}
    found.quotas.put(read_quota(obj, OWN_KIND, found.quotas.keys))
    return found


def status(found: Cluster, *waiting: Waiting, before: dict[str, Any] | None = None, now: float = NOW) -> dict[str, Any]:
    quota = found.quotas.get(QuotaId(OWN_KIND, "default", "team"))
    assert quota is not None
    return status_of(quota, list(found.ledger.space("default").pods.values()), waiting, before or {}, now)


def conditions(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in found["conditions"]}


def test_used_of_hard_stands_in_the_summary_in_the_keys_units() -> None:
    found = status(
        world(
            {"limits.nvidia.com/gpu": 4, "limits.nvidia.com/gpumem": "40Gi"},
            bound("small", "n1", "A,NVIDIA,1000,0:;"),
            bound("large", "n1", "A,NVIDIA,3000,0:B,NVIDIA,3000,0:;", gpu=2),
        )
    )
    assert found["summary"] == "gpu 3/4, gpumem 7000/40960"
    assert found["hard"] == {"limits.nvidia.com/gpu": "4", "limits.nvidia.com/gpumem": "40960"}
    assert found["used"] == {"limits.nvidia.com/gpu": "3", "limits.nvidia.com/gpumem": "7000"}
    assert [one["pod"] for one in found["largest"]] == ["large", "small"]
    assert found["largest"][0]["used"] == {"limits.nvidia.com/gpu": "2", "limits.nvidia.com/gpumem": "6000"}
    assert found["observedGeneration"] == 3
    assert conditions(found) == {"Ready": ("True", "Enforced"), "Exhausted": ("False", "Room")}


def test_who_waits_is_counted_and_five_are_named_highest_priority_first() -> None:
    found = world({"limits.nvidia.com/gpumem": 100})
    waiting = []
    for number in range(7):
        pod = asking(f"p{number}", gpu=1, mem=200 + number)
        decision = schedule(pod, found, NOW)
        assert isinstance(decision, Unschedulable)
        waiting.append(Waiting(pod.key, (-number, 0.0, str(pod.key)), decision.blocked))
    told = status(found, *waiting)
    assert told["pending"] == 7
    assert [one["pod"] for one in told["waiting"]] == ["p6", "p5", "p4", "p3", "p2"]
    asked = {"limits.nvidia.com/gpumem": "206"}
    assert told["waiting"][0] == {"pod": "p6", "reason": "ResourceQuotaNotFit", "asked": asked}


def test_a_full_quota_and_one_lowered_below_used_are_told_apart() -> None:
    running = bound("r", "n1", "A,NVIDIA,3000,0:;")
    assert conditions(status(world({"limits.nvidia.com/gpumem": 3000}, running)))["Exhausted"] == ("True", "AtHard")
    lowered = status(world({"limits.nvidia.com/gpumem": 2000}, running))
    assert conditions(lowered)["Exhausted"] == ("True", "OverHard")
    assert lowered["conditions"][1]["message"] == "limits.nvidia.com/gpumem used 3000, hard 2000"


def test_what_is_wrong_with_the_object_makes_it_not_ready() -> None:
    unknown = status(world({"limits.nvidia.com/gpumem-percentage": 50, "limits.nvidia.com/gpu": 1}))
    assert conditions(unknown)["Ready"] == ("False", "UnknownResource")
    assert unknown["used"] == {"limits.nvidia.com/gpu": "0"}
    malformed = status(world({"limits.nvidia.com/gpu": "4Gi"}))
    assert conditions(malformed)["Ready"] == ("False", "InvalidQuantity")
    assert malformed["summary"] == "gpu 0/?"
    assert malformed["hard"] == {}


def test_times_of_transition_are_kept_while_a_condition_stands_and_the_same_is_the_same() -> None:
    found = world({"limits.nvidia.com/gpumem": 3000})
    first = status(found)
    assert status(found, before=first, now=LATER) == first
    pod = asking("p", gpu=1, mem=3000)
    decision = schedule(pod, found, NOW)
    assert isinstance(decision, Placement)
    found.ledger.assume(pod, decision.node, decision.allocation)
    second = status(found, before=first, now=LATER)
    ready, exhausted = second["conditions"]
    assert ready == first["conditions"][0]
    assert exhausted["lastTransitionTime"] > first["conditions"][1]["lastTransitionTime"]
