"""What is known of node locks: order of news, and the patch that changes exactly what is known."""

from __future__ import annotations

import pytest

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import NODE_LOCK
from hami_operator.kube.lockbook import LockBook, Waiter, go_duration

TRAIN = PodKey("default", "train-0", "u1")
VALUE = "2025-10-09T08:53:20Z,default,train-0"
KEY_PATH = "/metadata/annotations/hami.io~1mutex.lock"


def book_with(annotations: dict[str, str], version: str = "10") -> LockBook:
    book = LockBook([NODE_LOCK])
    book.learn("n1", annotations, version, now=100.0)
    return book


def test_older_news_of_a_node_changes_nothing() -> None:
    book = book_with({NODE_LOCK: VALUE}, "10")
    book.learn("n1", {}, "9", now=101.0)
    assert book.state("n1", NODE_LOCK).value == VALUE
    book.learn("n1", {}, "11", now=102.0)
    assert book.state("n1", NODE_LOCK).value is None
    assert not book.busy("n1")


def test_versions_are_compared_as_numbers() -> None:
    book = book_with({NODE_LOCK: VALUE}, "99")
    book.learn("n1", {}, "100", now=101.0)
    assert book.state("n1", NODE_LOCK).value is None


def test_a_lock_that_stays_keeps_its_holder_and_the_time_it_was_seen_first() -> None:
    book = book_with({NODE_LOCK: VALUE})
    book.state("n1", NODE_LOCK).holder = TRAIN
    book.learn("n1", {NODE_LOCK: VALUE, "other": "x"}, "11", now=200.0)
    assert (book.state("n1", NODE_LOCK).holder, book.state("n1", NODE_LOCK).since) == (TRAIN, 100.0)
    book.learn("n1", {NODE_LOCK: VALUE.replace("train-0", "train-1")}, "12", now=300.0)
    assert (book.state("n1", NODE_LOCK).holder, book.state("n1", NODE_LOCK).since) == (None, 300.0)


PATCHES = [
    ({}, VALUE, [("test", "/metadata/annotations", None), ("add", "/metadata/annotations", {NODE_LOCK: VALUE})]),
    ({"a": "b"}, VALUE, [("test", KEY_PATH, None), ("add", KEY_PATH, VALUE)]),
    ({NODE_LOCK: "old"}, VALUE, [("test", KEY_PATH, "old"), ("add", KEY_PATH, VALUE)]),
]


@pytest.mark.parametrize(("annotations", "value", "operations"), PATCHES)
def test_a_lock_is_set_only_where_it_is_what_we_know(
    annotations: dict[str, str], value: str, operations: list[tuple[str, str, object]]
) -> None:
    state = book_with(annotations).state("n1", NODE_LOCK)
    assert [(o["op"], o["path"], o["value"]) for o in state.operations(value)] == operations


def test_a_lock_is_removed_only_where_it_is_what_we_know() -> None:
    state = book_with({NODE_LOCK: VALUE}).state("n1", NODE_LOCK)
    assert state.operations(None) == [
        {"op": "test", "path": KEY_PATH, "value": VALUE},
        {"op": "remove", "path": KEY_PATH},
    ]


OWNERS = [
    (VALUE, TRAIN, True),
    (VALUE, PodKey("default", "train", "u2"), False),
    (VALUE, PodKey("default", "rain-0", "u2"), False),
    (VALUE, PodKey("other", "train-0", "u2"), False),
    ("2025-10-09T08:53:20Z", TRAIN, False),
    ("nonsense", TRAIN, False),
    (None, TRAIN, False),
]


@pytest.mark.parametrize(("value", "pod", "expected"), OWNERS)
def test_an_owner_is_exactly_namespace_and_name(value: str | None, pod: PodKey, expected: bool) -> None:
    state = book_with({NODE_LOCK: value} if value else {}).state("n1", NODE_LOCK)
    assert state.may_be_of(pod) is expected


def test_a_namesake_of_the_pod_we_locked_for_is_no_owner() -> None:
    state = book_with({NODE_LOCK: VALUE}).state("n1", NODE_LOCK)
    state.holder = TRAIN
    assert not state.may_be_of(PodKey("default", "train-0", "u2"))


def test_a_node_that_went_is_forgotten_and_its_first_waiter_is_woken() -> None:
    book = book_with({NODE_LOCK: VALUE})
    waiter = Waiter(TRAIN)
    book.state("n1", NODE_LOCK).queue.append(waiter)
    book.forget("n1")
    assert waiter.wake.is_set()
    assert book.locked() == []
    book.state("n1", NODE_LOCK).queue.clear()
    book.forget("n1")
    assert not book.busy("n1")


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "5m0s"), (120, "2m0s"), (45, "45s"), (3600, "1h0m0s"), (3725, "1h2m5s"), (0, "0s")]
)
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
