"""What the API server would store from a Binding without a check, and then choke on."""

from __future__ import annotations

import pytest

from hami_operator.core.protocol import EPOCH
from hami_operator.kube.writable import MAX_ANNOTATIONS_BYTES, problem, valid_key, valid_label, writable_labels

KEYS = {
    "hami.io/vgpu-node": True,
    "a": True,
    "A_b.C-d": True,
    "x" * 63: True,
    "d" * 253 + "/x": True,
    "x" * 64: False,
    "d" * 254 + "/x": False,
    "": False,
    "/x": False,
    "a/": False,
    "a/b/c": False,
    "-a": False,
    "a-": False,
    "a b": False,
    "a\n": False,
    "a_b/c": False,
    "a..b/c": False,
    "Hami.IO/x": True,
}


@pytest.mark.parametrize(("key", "valid"), KEYS.items())
def test_a_key_is_an_optional_domain_and_a_name(key: str, valid: bool) -> None:
    assert valid_key(key) is valid


@pytest.mark.parametrize(
    ("value", "valid"),
    [("", True), ("n1", True), ("x" * 63, True), ("x" * 64, False), ("-n", False), ("n.", False), ("a\n", False)],
)
def test_a_label_value_has_at_most_63_characters(value: str, valid: bool) -> None:
    assert valid_label(value) is valid


def test_a_label_that_does_not_fit_is_left_out() -> None:
    assert writable_labels({"hami.io/vgpu-node": "n" * 70, "a": "b"}) == {"a": "b"}


def test_annotations_are_counted_after_the_merge_with_the_epoch_of_a_later_fence() -> None:
    epoch = len(EPOCH) + 16
    room = MAX_ANNOTATIONS_BYTES - epoch - len("users") - len("k")
    assert problem({"users": "x" * room, "k": "old" * 1000}, {"k": ""}, ()) is None
    complaint = problem({"users": "x" * room}, {"k": "v"}, ())
    assert complaint == "the pod's annotations would have 262145 bytes, allowed are 262144"


def test_sizes_are_bytes_not_characters() -> None:
    half = MAX_ANNOTATIONS_BYTES // 2
    assert problem({"users": "é" * half}, {}, ()) is not None
    assert problem({"users": "e" * half}, {}, ()) is None


@pytest.mark.parametrize(("written", "labels"), [({"bad key": "v"}, ()), ({}, ("bad key",))])
def test_a_bad_key_is_named(written: dict[str, str], labels: tuple[str, ...]) -> None:
    assert problem({}, written, labels) == "'bad key' is no valid annotation or label key"
