"""Shares of a card one by one: as pods come, change and go, in any order; and what hooks make of a request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core.allocate import Offer, allocate
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Allocation, DeviceRequest, Share
from hami_operator.core.reasons import Reason, refusals_text
from hami_operator.core.request import check_one_name
from hami_operator.core.room import Room
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.usage import tenancies
from hami_operator.core.vendor import CardState, FitContext, Hooks, Profile, Tenant, one_card
from tests.builders import NOW, NVIDIA, bound, cards, cluster, container, demand, device, node, offer, pod

WITH_TENANTS = replace(NVIDIA, tenant_keys=("quality", "class"), part_tenants=False, hooks=Hooks())
TWO = (device("GPU-0", index=0, memory_mib=1000), device("GPU-1", index=1, memory_mib=1000))


def share(card: str, memory: int = 100, cores: int = 10) -> Share:
    return Share(card, "NVIDIA", memory, cores)


def running(name: str, text: str, **annotations: str) -> Any:
    one = bound(name, "n1", text)
    return replace(one, annotations={**one.annotations, **annotations})


# -- the ledger --------------------------------------------------------------------------------------------------


def test_a_cards_shares_are_known_with_what_their_pods_wrote() -> None:
    ledger = Ledger([WITH_TENANTS])
    ledger.observe(running("a", "GPU-0,NVIDIA,100,10:;", quality="fixed"), NOW)
    ledger.observe(running("b", "GPU-0,NVIDIA,200,20:GPU-1,NVIDIA,300,30:;"), NOW)
    assert ledger.usage("n1").tenants["NVIDIA"] == {
        "GPU-0": {
            "default/a": (Tenant(share("GPU-0", 100, 10), ("fixed", "")),),
            "default/b": (Tenant(share("GPU-0", 200, 20), ("", "")),),
        },
        "GPU-1": {"default/b": (Tenant(share("GPU-1", 300, 30), ("", "")),)},
    }
    ledger.gone("default/b", NOW)
    assert set(ledger.usage("n1").tenants["NVIDIA"]) == {"GPU-0"}
    ledger.gone("default/a", NOW)
    assert ledger.usage("n1").tenants == {}
    assert ledger.audit() == []


def test_families_that_do_not_ask_keep_no_shares() -> None:
    ledger = Ledger([NVIDIA])
    ledger.observe(running("a", "GPU-0,NVIDIA,100,10:;"), NOW)
    assert ledger.usage("n1").tenants == {}


def test_a_mark_that_changes_is_seen_by_the_next_decision() -> None:
    ledger = Ledger([WITH_TENANTS])
    before = replace(running("a", "GPU-0,NVIDIA,100,10:;", quality="fixed"), resource_version="1")
    after = replace(running("a", "GPU-0,NVIDIA,100,10:;", quality="burst"), resource_version="2")
    ledger.observe(before, NOW)
    position = ledger.journal.position
    assert ledger.observe(after, NOW).changed
    assert ledger.journal.since(position) == {"n1"}
    (tenants,) = ledger.usage("n1").tenants["NVIDIA"]["GPU-0"].values()
    assert tenants[0].marks == ("burst", "")


def test_an_init_containers_share_goes_when_it_is_done() -> None:
    with_init = pod("p", container(gpu=1, mem=1), initContainers=[container("init", gpu=1, mem=1)])
    allocation = Allocation({"NVIDIA": ((share("GPU-0"),), (share("GPU-1"),))})
    assert set(tenancies(with_init, allocation, [WITH_TENANTS])["NVIDIA"]) == {"GPU-0", "GPU-1"}
    done = replace(with_init, init_done=True)
    assert set(tenancies(done, allocation, [WITH_TENANTS])["NVIDIA"]) == {"GPU-1"}
    assert set(tenancies(done, allocation, [WITH_TENANTS], init_done=False)["NVIDIA"]) == {"GPU-0", "GPU-1"}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["GPU-0", "GPU-1", ""]), st.booleans()), max_size=12))
def test_shares_come_and_go_as_the_totals_do(steps: list[tuple[str, str, bool]]) -> None:
    ledger = Ledger([WITH_TENANTS])
    for number, (name, card, reserve) in enumerate(steps):
        one = replace(pod(name, container(gpu=1)), resource_version=str(number))
        if not card:
            ledger.forget(one.key.uid)
        elif reserve:
            ledger.assume(one, "n1", Allocation({"NVIDIA": ((share(card),),)}))
        else:
            ledger.observe(replace(running(name, f"{card},NVIDIA,100,10:;"), resource_version=str(number)), NOW)
        assert ledger.audit() == []
        usage = ledger.usage("n1")
        counted = {card: sum(map(len, by_pod.values())) for card, by_pod in usage.tenants.get("NVIDIA", {}).items()}
        assert counted == {card: amounts.slots for card, amounts in usage.cards.get("NVIDIA", {}).items()}


# -- what a decision sees ----------------------------------------------------------------------------------------


def seen(found: list[tuple[str, int]]) -> Profile:
    def predicate(context: FitContext, state: CardState) -> Reason | None:
        found.append((state.device.uuid, len(state.tenants)))
        return None

    return replace(WITH_TENANTS, hooks=Hooks(predicate=predicate))


def test_a_container_sees_the_shares_of_other_pods_and_of_earlier_containers() -> None:
    found: list[tuple[str, int]] = []
    profile = seen(found)
    inventory = Inventory([profile])
    inventory.update(node("n1", TWO[:1]))
    entry = inventory.get("n1")
    assert entry is not None
    offered = Offer(entry, tenants={"NVIDIA": {"GPU-0": {"other": (Tenant(share("GPU-0"), ("", "")),)}}})
    two = pod("p", container("a", gpu=1, mem=1), container("b", gpu=1, mem=1))
    assert isinstance(allocate(two, demand(two, profiles=[profile]), offered, {}), Allocation)
    assert found == [("GPU-0", 1), ("GPU-0", 2)]


def test_an_init_containers_share_is_not_seen_by_later_containers() -> None:
    found: list[tuple[str, int]] = []
    profile = seen(found)
    one = pod("p", container("a", gpu=1, mem=1), initContainers=[container("init", gpu=1, mem=1)])
    assert isinstance(allocate(one, demand(one, profiles=[profile]), offer(TWO[:1]), {}), Allocation)
    assert found == [("GPU-0", 0), ("GPU-0", 0)]


# -- what a request means on a node ------------------------------------------------------------------------------


def test_a_gate_may_tell_what_a_request_means_on_its_node() -> None:
    profile = replace(NVIDIA, hooks=Hooks(node_gate=lambda context: DeviceRequest(len(context.cards), memory_mib=7)))
    one = pod("p", container(gpu=1, mem=1))
    got = allocate(one, demand(one, profiles=[profile]), offer(TWO), {})
    assert isinstance(got, Allocation)
    assert [(s.uuid, s.memory_mib) for _, _, s in got.shares()] == [("GPU-1", 7), ("GPU-0", 7)]


def test_a_request_that_means_more_cards_than_there_are_is_refused_for_that() -> None:
    profile = replace(NVIDIA, hooks=Hooks(node_gate=lambda context: DeviceRequest(3)))
    one = pod("p", container(gpu=1, mem=1))
    got = allocate(one, demand(one, profiles=[profile]), offer(TWO), {})
    assert isinstance(got, tuple)
    assert refusals_text(got) == "NodeInsufficientDevice (2 cards, 3 asked)"


def test_a_chooser_may_have_a_reason_of_its_own() -> None:
    profile = replace(NVIDIA, hooks=Hooks(chooser=lambda context: lambda candidates, count: Reason.CARD_HANDLE_LIMIT))
    one = pod("p", container(gpu=1, mem=1))
    got = allocate(one, demand(one, profiles=[profile]), offer(TWO), {})
    assert isinstance(got, tuple)
    assert refusals_text(got) == "2/2 CardHandleLimit"


def test_cards_that_cost_less_are_asked_of_the_chooser_too() -> None:
    """Quota's second try must not take a set that the family's links forbid."""
    large, small, other = (device(f"GPU-{i}", index=i, memory_mib=m) for i, m in enumerate((4000, 1000, 1000)))

    def never_together(context: FitContext) -> Any:
        return lambda candidates, count: (
            None if {state.device.index for state in candidates} == {1, 2} else list(candidates[:count])
        )

    profile = replace(NVIDIA, hooks=Hooks(chooser=never_together))
    one = pod("p", container(gpu=2, pct=100))
    got = allocate(
        one, demand(one, profiles=[profile]), offer((large, small, other)), {"NVIDIA": Room(memory_mib=2000)}
    )
    assert isinstance(got, tuple)
    assert "ResourceQuotaNotFit" in refusals_text(got)


# -- a pod on one card -------------------------------------------------------------------------------------------

ONE_CARD = replace(NVIDIA, hooks=Hooks(predicate=one_card))


@given(
    asked=st.lists(st.sampled_from([100, 300, 500, 700]), min_size=1, max_size=3),
    used=st.lists(st.sampled_from([0, 200, 400, 600]), min_size=2, max_size=2),
)
def test_a_pod_is_on_one_card_exactly_if_some_card_holds_all_of_it(asked: list[int], used: list[int]) -> None:
    one = pod("p", *(container(f"c{i}", gpu=1, mem=memory) for i, memory in enumerate(asked)))
    offered = offer(TWO, {f"GPU-{i}": (1, memory, 0) for i, memory in enumerate(used) if memory})
    got = allocate(one, demand(one, profiles=[ONE_CARD]), offered, {})
    able = [f"GPU-{i}" for i, memory in enumerate(used) if memory + sum(asked) <= 1000]
    assert isinstance(got, Allocation) == bool(able)
    if isinstance(got, Allocation):
        (only,) = set(cards(got))
        assert only in able


def test_an_init_container_needs_the_card_for_its_time_alone() -> None:
    one = pod("p", container("a", gpu=1, mem=600), initContainers=[container("init", gpu=1, mem=900)])
    got = allocate(one, demand(one, profiles=[ONE_CARD]), offer(TWO), {})
    assert isinstance(got, Allocation)
    assert cards(got) == ["GPU-1", "GPU-1"]


# -- names that exclude each other -------------------------------------------------------------------------------


def test_a_pod_that_uses_two_names_of_which_one_is_allowed_is_told_both() -> None:
    profile = replace(NVIDIA, one_name=("nvidia.com/gpu", "nvidia.com/gpucores"))
    both = pod("p", container("a", gpu=1), container("b", cores=1))
    with pytest.raises(InvalidRequest) as caught:
        check_one_name(profile, both.containers)
    assert "container 'a' asks for nvidia.com/gpu and container 'b' asks for nvidia.com/gpucores" in str(caught.value)
    assert not isinstance(schedule(both, cluster([node("n1", TWO)], profiles=[profile]), NOW), Placement)
    check_one_name(profile, pod("p", container("a", gpu=1), container("b", gpu=1)).containers)
