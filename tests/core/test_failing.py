"""A plugin that fails is left alone for longer and longer, and until it is at work again."""

from __future__ import annotations

import pytest

from hami_operator.core.failing import FIRST_SECONDS, LONGEST_SECONDS, Failing
from tests.builders import NOW

PLACE = ("n1", "NVIDIA")


def test_a_place_is_left_alone_for_a_while_after_a_failure() -> None:
    failing = Failing()
    assert not failing.active(PLACE, NOW)
    assert failing.failed(PLACE, "a", NOW) == NOW + FIRST_SECONDS
    assert failing.active(PLACE, NOW + FIRST_SECONDS - 1)
    assert not failing.active(PLACE, NOW + FIRST_SECONDS)
    assert not failing.active(("n2", "NVIDIA"), NOW)


def test_every_further_failure_doubles_the_pause_up_to_five_minutes() -> None:
    failing = Failing()
    pauses = [failing.failed(PLACE, str(number), NOW) for number in range(8)]
    assert [pause - NOW for pause in pauses if pause] == [10, 20, 40, 80, 160, 300, 300, 300]
    assert LONGEST_SECONDS == 300


def test_a_pod_is_counted_once() -> None:
    failing = Failing()
    assert failing.failed(PLACE, "a", NOW) is not None
    assert failing.failed(PLACE, "a", NOW + 1) is None
    failing.forget_pod("a")
    assert failing.failed(PLACE, "a", NOW + 2) == NOW + 2 + 2 * FIRST_SECONDS


def test_a_pod_of_two_families_is_a_failure_of_each() -> None:
    """The kubelet does not say whose Allocate failed."""
    failing = Failing()
    other = ("n1", "DCU")
    assert failing.failed(PLACE, "a", NOW) == failing.failed(other, "a", NOW) == NOW + FIRST_SECONDS
    assert failing.failed(other, "a", NOW) is None
    failing.forget_pod("a")
    assert failing.failed(other, "a", NOW) == NOW + 2 * FIRST_SECONDS


@pytest.mark.parametrize(("since", "ends"), [(NOW - 1, False), (NOW, True), (NOW + 1, True)])
def test_a_success_from_before_the_failure_proves_nothing(since: float, ends: bool) -> None:
    failing = Failing()
    failing.failed(PLACE, "a", NOW)
    assert failing.ended(PLACE, since) is ends
    assert failing.active(PLACE, NOW + 1) is not ends
    assert not failing.ended(("n2", "NVIDIA"), NOW + 9)


def test_a_node_that_comes_back_under_the_same_name_begins_anew() -> None:
    failing = Failing()
    for place in (PLACE, ("n2", "NVIDIA")):
        failing.failed(place, f"a-{place[0]}", NOW)
    failing.forget_node("n1")
    assert not failing.active(PLACE, NOW)
    assert failing.active(("n2", "NVIDIA"), NOW)
    assert failing.failed(PLACE, "b", NOW) == NOW + FIRST_SECONDS


def test_a_place_is_due_once_and_its_failures_are_remembered() -> None:
    failing = Failing()
    failing.failed(PLACE, "a", NOW)
    assert failing.next_due() == NOW + FIRST_SECONDS
    assert failing.due(NOW + FIRST_SECONDS - 1) == []
    assert failing.due(NOW + FIRST_SECONDS) == [PLACE]
    assert failing.due(NOW + FIRST_SECONDS) == []
    assert failing.next_due() is None
    assert failing.failed(PLACE, "b", NOW + 20) == NOW + 20 + 2 * FIRST_SECONDS
