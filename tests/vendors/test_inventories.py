"""What nodes report, and how it changes: lists that shrink, nodes of another vendor, amounts without cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Node
from hami_operator.core.objects import read_node
from tests.builders import cluster
from tests.vendors.binding import bind, pod_of, refusal
from tests.vendors.replay import family

PROFILES = DevicesSection(vnpus={}, iluvatars={}).profiles()

DCU, MTT = family("DCU"), family("Mthreads")
SHARE = {"hygon.com/dcunum": 1, "hygon.com/dcumem": 2000, "hygon.com/dcucores": 60}

REGISTER = "hami.io/node-dcu-register"
TWO = "DCU-0,4,65520,100,DCU-K100_AI,0,true,0,hami:DCU-1,4,65520,100,DCU-K100_AI,0,true,1,hami:"
ONE = TWO.partition(":")[0] + ":"
GPU = {"hami.io/node-nvidia-register": "GPU-a,10,24576,100,NVIDIA-NVIDIA A30,0,true,0,hami-core:"}


def node(annotations: Mapping[str, str], **amounts: Any) -> Node:
    texts = {name: str(value) for name, value in amounts.items()}
    status = {"capacity": texts, "allocatable": texts} if texts else {}
    return read_node({"metadata": {"name": "n1", "annotations": dict(annotations)}, "status": status})


def world(on: Node) -> Cluster:
    return cluster([on], profiles=PROFILES)


def families(there: Cluster) -> set[str]:
    entry = there.inventory.get("n1")
    return set(entry.devices) if entry else set()


def test_a_list_that_shrinks_under_its_pods_leaves_the_other_cards_as_they_are() -> None:
    there = world(node({REGISTER: TWO}))
    first, second = (bind(there, DCU, pod_of(name, SHARE))[DCU.allocated_key] for name in ("p0", "p1"))
    assert (first, second) == ("DCU-1,DCU,2000,60:;", "DCU-0,DCU,2000,60:;")
    there.inventory.update(node({REGISTER: ONE}))
    assert refusal(there, pod_of("p2", SHARE)) == "1/1 CardInsufficientCore"
    assert there.ledger.forget("p0").freed
    assert refusal(there, pod_of("p2", SHARE)) == "1/1 CardInsufficientCore"
    assert there.ledger.forget("p1").freed
    assert bind(there, DCU, pod_of("p2", SHARE))[DCU.allocated_key] == "DCU-0,DCU,2000,60:;"
    assert there.ledger.audit() == []


def test_a_card_that_comes_back_is_held_by_those_who_had_it() -> None:
    there = world(node({REGISTER: TWO}))
    bind(there, DCU, pod_of("p0", SHARE))
    there.inventory.update(node({REGISTER: ONE}))
    bind(there, DCU, pod_of("p1", SHARE))
    there.inventory.update(node({REGISTER: TWO}))
    assert refusal(there, pod_of("p2", SHARE)) == "2/2 CardInsufficientCore"


def test_a_node_of_another_vendor_loses_the_first_ones_cards_at_once() -> None:
    there = world(node({REGISTER: TWO}))
    assert families(there) == {"DCU"}
    there.inventory.update(node(GPU))
    assert families(there) == {"NVIDIA"}
    assert "no DCU cards are registered" in refusal(there, pod_of("p", SHARE))


def test_a_new_list_of_one_vendor_is_nothing_to_the_others() -> None:
    there = world(node({REGISTER: TWO, **GPU}))
    bind(there, DCU, pod_of("p", SHARE))
    there.inventory.update(node({REGISTER: TWO, "hami.io/node-nvidia-register": ""}))
    assert families(there) == {"DCU"}
    assert there.ledger.usage("n1").cards["DCU"]["DCU-1"].slots == 1


def test_an_amount_without_a_list_is_no_card() -> None:
    text = refusal(world(node({}, **{"hygon.com/dcunum": 8})), pod_of("p", SHARE))
    assert text == "NodeUnregistered (no DCU cards are registered)"


def test_a_list_without_an_amount_is_a_plugin_that_is_gone() -> None:
    text = refusal(world(node({REGISTER: TWO}, cpu=4)), pod_of("p", SHARE))
    assert text == "NodeUnregistered (hygon.com/dcunum is not allocatable)"


def test_counted_cards_go_with_their_amount() -> None:
    part = {"mthreads.com/vgpu": 1, "mthreads.com/sgpu-memory": 32, "mthreads.com/sgpu-core": 8}
    full = node({}, **{"mthreads.com/sgpu-core": 32, "mthreads.com/sgpu-memory": 192})
    there = world(full)
    assert bind(there, MTT, pod_of("p", part))
    there.inventory.update(node({}, **{"mthreads.com/sgpu-memory": 192}))
    assert families(there) == set()
    silent = Node("n1", capacity=full.capacity, allocatable=node({}, cpu=4).allocatable)
    there.inventory.update(silent)
    assert refusal(there, pod_of("q", part)) == "NodeUnregistered (mthreads.com/sgpu-core is not allocatable)"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.key)
def test_a_node_that_reports_nothing_has_no_cards_of_any_family(profile: Any) -> None:
    assert profile.inventory(Node("n1")) == ()
