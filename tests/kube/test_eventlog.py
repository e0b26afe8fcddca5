"""Which events are written, and when: counting, limits, bounded memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hami_operator.kube.eventlog import (
    EventSettings,
    Journal,
    Occurrence,
    Regarding,
    Write,
    micro_time,
    shorten,
)

AT = 1_760_000_000.0


def about(name: str = "p", note: str = "no card is free", reason: str = "FilteringFailed") -> Occurrence:
    return Occurrence(Regarding("Pod", "ns", name, f"uid-{name}"), reason, note, type="Warning")


def drain(journal: Journal, now: float) -> list[Write]:
    writes = []
    while isinstance(write := journal.take(now), Write):
        writes.append(write)
    return writes


def test_something_new_is_written_at_once() -> None:
    journal = Journal(EventSettings(instance="node-7"))
    journal.add(about(), 0, AT)
    (write,) = drain(journal, 0)
    assert not write.counted
    assert write.namespace == "ns"
    assert write.body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": write.name, "namespace": "ns"},
        "eventTime": "2025-10-09T08:53:20.000000Z",
        "reportingController": "hami-operator",
        "reportingInstance": "node-7",
        "action": "Scheduling",
        "reason": "FilteringFailed",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "p", "uid": "uid-p"},
        "note": "no card is free",
        "type": "Warning",
    }
    assert journal.take(0) is None


def test_what_is_held_back_is_due_that_much_later_and_without_the_hold_at_once() -> None:
    journal = Journal(EventSettings())
    journal.add(about(), 10, AT)
    assert journal.take(11, hold_s=3) == 2
    assert isinstance(journal.take(11), Write)
    journal.add(about(note="another"), 12, AT)
    assert isinstance(journal.take(15, hold_s=3), Write)


def test_text_of_strangers_can_not_act_on_who_reads_the_event() -> None:
    journal = Journal(EventSettings())
    journal.add(about(note="card \u202eevil\x1b[2J\nBound"), 0, AT)
    (write,) = drain(journal, 0)
    assert write.body["note"] == "card \\u202eevil\\x1b[2J\\nBound"


def test_the_same_sentence_is_counted_in_one_event() -> None:
    journal = Journal(EventSettings(repeat_s=60))
    journal.add(about(), 0, AT)
    (first,) = drain(journal, 0)
    for second in range(1, 11):
        journal.add(about(), second, AT + second)
    assert journal.take(10) == 50
    (again,) = drain(journal, 60)
    assert (again.counted, again.name) == (True, first.name)
    assert again.series == {"series": {"count": 11, "lastObservedTime": micro_time(AT + 10)}}
    assert len(journal) == 0


def test_another_sentence_is_another_event_at_once() -> None:
    journal = Journal(EventSettings())
    journal.add(about(note="one"), 0, AT)
    journal.add(about(note="one", reason="Binding"), 0, AT)
    drain(journal, 0)
    journal.add(about(note="one"), 1, AT + 1)
    journal.add(about(note="two"), 2, AT + 2)
    writes = drain(journal, 2)
    assert [(w.counted, w.body["note"]) for w in writes] == [(False, "two")]


def test_a_newer_sentence_replaces_one_that_waits() -> None:
    journal = Journal(EventSettings(burst=1, per_second=1))
    journal.add(about("other"), 0, AT)
    journal.add(about(note="one"), 0, AT)
    journal.add(about(note="two"), 0, AT)
    assert len(drain(journal, 0)) == 1
    assert [w.body["note"] for w in drain(journal, 1)] == ["two"]


def test_one_sentence_said_often_before_it_is_written_is_one_event_with_a_count() -> None:
    journal = Journal(EventSettings())
    for _ in range(3):
        journal.add(about(), 0, AT)
    (write,) = drain(journal, 0)
    assert (write.counted, write.body["series"]["count"]) == (False, 3)


def test_nothing_is_lost_when_500_pods_are_pending_at_once() -> None:
    journal = Journal(EventSettings(per_second=50, burst=100))
    for i in range(500):
        journal.add(about(f"p{i}"), 0, AT)
    written = drain(journal, 0)
    assert len(written) == 100
    for second in range(1, 9):
        assert isinstance(journal.take(second - 0.999), float)
        written += drain(journal, second)
    assert [w.body["regarding"]["name"] for w in written] == [f"p{i}" for i in range(500)]
    assert journal.dropped == 0
    assert len({w.name for w in written}) == 500


def test_one_object_that_is_talked_about_too_much_does_not_hold_up_the_others() -> None:
    journal = Journal(EventSettings(object_burst=2, object_every_s=300))
    for i in range(3):
        journal.add(about(note=f"note {i}"), i, AT)
        drain(journal, i)
    journal.add(about("other"), 3, AT)
    assert [w.body["regarding"]["name"] for w in drain(journal, 3)] == ["other"]
    assert len(journal) == 1
    assert [w.body["note"] for w in drain(journal, 303)] == ["note 2"]


def test_memory_is_bounded_and_what_is_dropped_is_counted() -> None:
    journal = Journal(EventSettings(queued=10, remembered=10, burst=1, per_second=1))
    for i in range(50):
        journal.add(about(f"p{i}"), 0, AT)
    assert (len(journal), journal.dropped) == (10, 40)


def test_an_object_that_is_not_remembered_gets_a_new_event() -> None:
    journal = Journal(EventSettings(remembered=1))
    for name in ("a", "b", "a"):
        journal.add(about(name), 0, AT)
        (write,) = drain(journal, 0)
        assert not write.counted


def test_an_event_about_a_node_is_kept_in_the_default_namespace() -> None:
    journal = Journal(EventSettings())
    journal.add(replace(about(), regarding=Regarding("Node", "", "n1", "u")), 0, AT)
    (write,) = drain(journal, 0)
    assert write.namespace == "default"
    assert "namespace" not in write.body["regarding"]


@pytest.mark.parametrize("text", ["a" * 5000, "é" * 5000, "a" + "漢" * 1000])
def test_a_note_is_cut_between_characters_to_1024_bytes(text: str) -> None:
    short = shorten(text, 1024)
    assert 1020 <= len(short.encode()) <= 1024
    assert short.endswith("…")
    assert text.startswith(short[:-1])


def test_a_note_that_fits_is_left_as_it_is() -> None:
    assert shorten("é" * 512, 1024) == "é" * 512


def test_names_of_events_fit_however_long_the_object_is_called() -> None:
    journal = Journal(EventSettings())
    journal.add(about("p" * 235 + "." * 1 + "q" * 17), 0, AT)
    (write,) = drain(journal, 0)
    assert len(write.name) <= 253
    assert ".." not in write.name
