"""The engine on one node: containers one after the other, positions on the wire, families that are closed, quotas."""

from __future__ import annotations

import pytest

from hami_operator.core import protocol
from hami_operator.core.allocate import Offer, allocate
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Allocation
from hami_operator.core.reasons import Reason, Refusal, refusals_text
from hami_operator.core.room import Room
from tests.builders import answer, asking, cards, container, demand, device, node, offer, pod

TWO = (device("GPU-aaaa", index=0), device("GPU-bbbb", index=1))
SIDECAR = {"restartPolicy": "Always"}


def text(allocation: object) -> str:
    assert isinstance(allocation, Allocation), allocation
    return protocol.encode_shares(allocation.families["NVIDIA"])


def test_every_container_has_its_position_whether_it_has_a_card_or_not() -> None:
    asked = pod("p", container("sidecar"), container("train", gpu=1, mem=1000, cores=10), container("log"))
    assert text(answer(asked, offer(TWO))) == ";GPU-bbbb,NVIDIA,1000,10:;;"


def test_what_one_container_takes_is_seen_by_the_next() -> None:
    asked = pod("p", *(container(name, gpu=1, mem=1000, cores=10) for name in ("a", "b")))
    assert text(answer(asked, offer(TWO))) == "GPU-bbbb,NVIDIA,1000,10:;GPU-aaaa,NVIDIA,1000,10:;"
    packed = answer(asked, offer(TWO), card_policy="binpack")
    assert text(packed) == "GPU-bbbb,NVIDIA,1000,10:;GPU-bbbb,NVIDIA,1000,10:;"


def test_the_pod_fits_only_if_every_container_does() -> None:
    asked = pod("p", container("a", gpu=1, mem=20000), container("b", gpu=2, mem=20000))
    refused = answer(asked, offer(TWO))
    assert isinstance(refused, tuple)
    assert refusals_text(refused) == "1/2 AllocatedCardsInsufficientRequest, 1/2 CardInsufficientMemory"


def test_nothing_that_was_offered_is_changed() -> None:
    offered = offer(TWO, {"GPU-aaaa": (1, 100, 10)})
    before = {family: dict(held) for family, held in offered.used.items()}
    asked = asking(gpu=2, mem=1000)
    assert answer(asked, offered) == answer(asked, offered)
    assert offered.used == before


def test_a_pod_without_cards_fits_and_gets_none() -> None:
    assert answer(pod("p", container("a")), offer(TWO)) == Allocation({})


# -- init containers and sidecars --------------------------------------------------------------------------------


def test_app_containers_use_the_cards_of_the_init_containers_again() -> None:
    asked = pod(
        "p",
        container("none"),
        container("train", gpu=1, mem=2000, cores=0),
        initContainers=[container("prep", gpu=1, mem=8000, cores=0)],
    )
    assert text(answer(asked, offer(TWO))) == "GPU-bbbb,NVIDIA,8000,0:;;GPU-bbbb,NVIDIA,2000,0:;"


def test_init_containers_follow_one_another_on_the_same_memory() -> None:
    asked = pod(
        "p",
        container("train", gpu=1, mem=24000),
        initContainers=[container("one", gpu=1, mem=24000), container("two", gpu=1, mem=24000)],
    )
    assert cards(answer(asked, offer(TWO[:1]))) == ["GPU-aaaa"] * 3


def test_a_sidecar_keeps_its_share_beside_later_init_containers_and_the_apps() -> None:
    proxy = container("proxy", gpu=1, mem=10000, fields=SIDECAR)
    late = container("late", gpu=1, mem=15000)
    app = container("app", gpu=1, mem=1000)
    assert isinstance(answer(pod("p", app, initContainers=[proxy, late]), offer(TWO[:1])), tuple)
    assert cards(answer(pod("p", app, initContainers=[late, proxy]), offer(TWO[:1]))) == ["GPU-aaaa"] * 3
    big = container("app", gpu=1, mem=15000)
    assert isinstance(answer(pod("p", big, initContainers=[proxy]), offer(TWO[:1])), tuple)


# -- families that are closed ------------------------------------------------------------------------------------


def test_a_node_without_cards_is_not_registered() -> None:
    closed = allocate(asking(gpu=1), demand(asking(gpu=1)), Offer(NodeDevices(node())), {})
    assert closed == (Refusal(Reason.NODE_UNREGISTERED, detail="no NVIDIA cards are registered"),)


def test_a_family_whose_plugin_is_not_at_work_is_not_registered() -> None:
    dead = Offer(NodeDevices(node(), {"NVIDIA": TWO}))
    closed = allocate(asking(gpu=1), demand(asking(gpu=1)), dead, {})
    assert closed == (Refusal(Reason.NODE_UNREGISTERED, detail="nvidia.com/gpu is not allocatable"),)


def test_a_refused_family_is_refused_as_a_whole() -> None:
    why = Refusal(Reason.NODE_QUARANTINED, detail="unknown share")
    refusing = Offer(offer(TWO).entry, {}, {"NVIDIA": why})
    assert allocate(asking(gpu=1), demand(asking(gpu=1)), refusing, {}) == (why,)
    nothing = pod("p", container("a"))
    assert allocate(nothing, demand(nothing), refusing, {}) == Allocation({})


# -- rooms that quotas leave -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("short", "room", "fits"),
    [
        ({"gpu": 2, "mem": 2000, "cores": 50}, Room(memory_mib=4000, cores=200), True),
        ({"gpu": 2, "mem": 2000, "cores": 50}, Room(memory_mib=3999), False),
        ({"gpu": 2, "mem": 2000, "cores": 50}, Room(cores=99), False),
        ({"gpu": 2, "mem": 2000}, Room(slots=1), False),
        ({"gpu": 2, "mem": 2000}, Room(slots=2), True),
        ({"gpu": 1, "mem": 1}, Room(slots=0), False),
        ({"gpu": 1, "pct": 50}, Room(memory_mib=12288), True),
        ({"gpu": 1, "pct": 50}, Room(memory_mib=12287), False),
    ],
)
def test_a_room_bounds_the_sum_over_the_pods_cards(short: dict[str, int], room: Room, fits: bool) -> None:
    asked = asking(**short)
    got = allocate(asked, demand(asked), offer(TWO), {"NVIDIA": room})
    if fits:
        assert len(cards(got)) == short["gpu"]
    else:
        assert isinstance(got, tuple)
        assert [refusal.reason for refusal in got] == [Reason.RESOURCE_QUOTA_NOT_FIT]


def test_earlier_containers_of_the_pod_count_against_the_room() -> None:
    asked = pod("p", *(container(name, gpu=1, mem=3000) for name in ("a", "b")))
    assert isinstance(allocate(asked, demand(asked), offer(TWO), {"NVIDIA": Room(memory_mib=5999)}), tuple)
    assert isinstance(allocate(asked, demand(asked), offer(TWO), {"NVIDIA": Room(memory_mib=6000)}), Allocation)


def test_where_only_the_room_stands_against_it_the_cheapest_cards_are_taken() -> None:
    sizes = (device("GPU-0", memory_mib=24576), device("GPU-1", index=1, memory_mib=24576))
    large = device("GPU-2", index=2, memory_mib=40960)
    asked = asking(gpu=2, pct=50)
    assert cards(answer(asked, offer((*sizes, large)))) == ["GPU-2", "GPU-1"]
    got = allocate(asked, demand(asked), offer((*sizes, large)), {"NVIDIA": Room(memory_mib=24576)})
    assert cards(got) == ["GPU-1", "GPU-0"]
