from __future__ import annotations

import pytest

from hami_operator.core.model import Pod, PodKey
from hami_operator.core.schedule import Waits
from hami_operator.queue import REST_FIRST_SECONDS, REST_LONGEST_SECONDS, Queue


def pod(name: str, *, priority: int = 0, created: float = 0.0, annotations: dict[str, str] | None = None) -> Pod:
    return Pod(PodKey("ns", name, f"uid-{name}"), priority=priority, created=created, annotations=annotations or {})


def filled(*pods: Pod) -> Queue:
    queue = Queue()
    for one in pods:
        queue.put(one)
    return queue


def taken(queue: Queue, now: float = 0.0) -> list[str]:
    names = []
    while (pending := queue.take(now)) is not None:
        names.append(pending.pod.key.name)
    return names


def test_higher_priority_goes_first_then_the_older_then_by_name() -> None:
    queue = filled(pod("b"), pod("a"), pod("old", created=-5.0), pod("vip", priority=10, created=9.0))
    assert taken(queue) == ["vip", "old", "a", "b"]


def test_a_pod_in_flight_is_not_taken_twice_even_when_it_is_seen_again() -> None:
    queue = filled(pod("a"))
    assert taken(queue) == ["a"]
    queue.put(pod("a", annotations={"hami.io/gpu-scheduler-policy": "binpack"}))
    assert taken(queue) == []


def test_a_pod_that_nobody_carries_out_any_more_is_ready_again() -> None:
    queue = filled(pod("a"), pod("b"))
    assert taken(queue) == ["a", "b"]
    queue.land("uid-a")
    queue.land("uid-of-nobody")
    assert taken(queue) == ["a"]


def test_only_a_pod_that_fits_nowhere_waits() -> None:
    queue = filled(pod("a"))
    assert not queue.waits("uid-a")
    taken(queue)
    queue.wait("uid-a", Waits("shape"))
    assert queue.waits("uid-a")
    queue.wake()
    taken(queue)
    assert not queue.waits("uid-a"), "it is being decided"


def test_a_waiting_pod_stays_until_something_wakes_it() -> None:
    queue = filled(pod("a"))
    taken(queue)
    queue.wait("uid-a", Waits("shape"))
    assert taken(queue, now=1e9) == []
    queue.wake()
    assert taken(queue) == ["a"]


def test_a_pod_that_is_woken_many_times_before_its_turn_is_decided_once() -> None:
    queue = filled(pod("a"))
    taken(queue)
    queue.wait("uid-a", Waits("shape"))
    for _ in range(3):
        queue.wake()
    assert taken(queue) == ["a"]
    queue.wait("uid-a", Waits("shape"))
    assert taken(queue) == []


def test_a_pod_that_gets_another_priority_while_it_is_ready_is_decided_once_at_its_new_place() -> None:
    queue = filled(pod("a"), pod("b"), pod("c", priority=1))
    queue.put(pod("b", priority=2))
    assert taken(queue) == ["b", "c", "a"]
    queue.wait("uid-b", Waits("shape"))
    assert taken(queue) == []


def test_a_change_wakes_the_first_of_each_group_and_the_next_only_when_that_one_is_placed() -> None:
    queue = filled(pod("a"), pod("b", priority=1), pod("c"), pod("x"))
    taken(queue)
    for name, group in (("a", "one"), ("b", "one"), ("c", "one"), ("x", "two")):
        queue.wait(f"uid-{name}", Waits(group))
    queue.wake()
    assert taken(queue) == ["b", "x"]
    queue.wait("uid-x", Waits("two"))
    queue.placed("uid-b")
    assert taken(queue) == ["a"]
    queue.wait("uid-a", Waits("one"))
    assert taken(queue) == []
    queue.wake()
    assert taken(queue) == ["a", "x"]


def test_a_group_outlives_the_pods_that_left_it() -> None:
    queue = filled(pod("a"), pod("b"), pod("c"))
    taken(queue)
    for name in "abc":
        queue.wait(f"uid-{name}", Waits("one"))
    queue.remove("uid-a")
    queue.wake()
    assert taken(queue) == ["b"]
    queue.remove("uid-b")
    queue.wake()
    assert taken(queue) == ["c"]


def test_a_changed_request_is_decided_again_at_once_but_our_own_writes_are_no_change() -> None:
    queue = filled(pod("a"))
    taken(queue)
    queue.wait("uid-a", Waits("shape"))
    queue.put(pod("a", annotations={"hami-operator.io/epoch": "1"}))
    assert taken(queue) == []
    queue.put(pod("a", annotations={"nvidia.com/use-gputype": "A30"}))
    assert taken(queue) == ["a"]


def test_failures_of_the_world_back_off_and_double_up_to_a_limit() -> None:
    queue = filled(pod("a"))
    now, pauses = 0.0, []
    for _ in range(9):
        assert taken(queue, now) == ["a"]
        queue.rest("uid-a", now)
        until = queue.next_rest()
        assert until is not None
        assert taken(queue, until - 0.01) == []
        pauses.append(until - now)
        now = until
    assert pauses[:3] == [REST_FIRST_SECONDS, 2 * REST_FIRST_SECONDS, 4 * REST_FIRST_SECONDS]
    assert pauses[-1] == REST_LONGEST_SECONDS


def test_a_removed_pod_is_gone_from_every_state() -> None:
    queue = filled(pod("ready"), pod("waiting"), pod("resting"))
    taken(queue)
    queue.wait("uid-waiting", Waits("g"))
    queue.rest("uid-resting", 0.0)
    for name in ("ready", "waiting", "resting"):
        queue.remove(f"uid-{name}")
    queue.wake_all()
    assert taken(queue, 1e9) == []
    assert len(queue) == 0
    assert set(queue.counts().values()) == {0}


def test_a_resting_pod_is_not_woken_by_changes() -> None:
    queue = filled(pod("a"))
    taken(queue)
    queue.rest("uid-a", 0.0)
    queue.wake()
    queue.wake_all()
    assert taken(queue, 0.5) == []
    assert taken(queue, REST_FIRST_SECONDS) == ["a"]


def test_who_waits_for_a_quota_is_woken_by_its_namespace_alone_and_one_after_the_other() -> None:
    queue = filled(pod("a"), pod("b"), pod("node"), pod("both"))
    taken(queue)
    quota = Waits("one", nodes=False, namespace="ns")
    queue.wait("uid-a", quota)
    queue.wait("uid-b", quota)
    queue.wait("uid-node", Waits("one"))
    queue.wait("uid-both", Waits("one", namespace="ns"))
    queue.wake()
    assert taken(queue) == ["both", "node"]
    queue.wait("uid-node", Waits("one"))
    queue.wait("uid-both", Waits("one", namespace="ns"))
    queue.wake_namespace("another")
    assert taken(queue) == []
    queue.wake_namespace("ns")
    assert taken(queue) == ["a", "both"]
    queue.placed("uid-a")
    assert taken(queue) == ["b"]


def test_a_pod_that_waits_for_something_else_now_lets_the_next_of_its_old_group_be_asked() -> None:
    queue = filled(pod("a"), pod("b"))
    taken(queue)
    queue.wait("uid-a", Waits("one"))
    queue.wait("uid-b", Waits("one"))
    queue.wake()
    assert taken(queue) == ["a"]
    queue.wait("uid-a", Waits("one", nodes=False, namespace="ns"))
    assert taken(queue) == ["b"]
    queue.wait("uid-b", Waits("one"))
    assert taken(queue) == []


def waiting_alike(*names: str) -> Queue:
    queue = filled(*(pod(name) for name in names))
    taken(queue)
    for name in names:
        queue.wait(f"uid-{name}", Waits("one"))
    return queue


def test_a_woken_pod_that_is_still_in_flight_at_the_next_change_is_not_lost_to_later_ones() -> None:
    """With the driver ``extender`` it is in flight until kube-scheduler asks."""
    queue = waiting_alike("a")
    queue.wake()
    assert taken(queue) == ["a"]
    queue.wake()
    queue.wait("uid-a", Waits("one"))
    queue.wake()
    assert taken(queue) == ["a"]


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_woken_pod_that_goes_before_it_is_placed_leaves_its_turn_to_the_next(in_flight: bool) -> None:
    queue = waiting_alike("a", "b")
    queue.wake()
    assert not in_flight or taken(queue) == ["a"]
    queue.remove("uid-a")
    assert taken(queue) == ["b"]


def test_a_woken_pod_that_the_world_fails_stands_for_its_group_until_it_is_placed() -> None:
    queue = waiting_alike("a", "b")
    queue.wake()
    assert taken(queue) == ["a"]
    queue.rest("uid-a", 0.0)
    assert queue.counts() == {"ready": 0, "waiting": 1, "resting": 1, "in_flight": 0, "asked": 0}
    assert taken(queue, REST_FIRST_SECONDS) == ["a"]
    queue.placed("uid-a")
    assert taken(queue, REST_FIRST_SECONDS) == ["b"]
