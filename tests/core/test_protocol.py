"""The wire: every worked text is read as it says, what we write is read back, and rubbish is told, never zero."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core import protocol
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Allocation, Device, Share
from tests.golden import rows

KEY = "hami.io/some-key"

names = st.text(st.characters(codec="utf-8", exclude_characters=",:;\r\n", exclude_categories=["Cs", "Cc"]), min_size=1)
numbers = st.integers(0, protocol.INT32_MAX)
devices = st.builds(
    Device,
    uuid=names.filter(lambda name: name.strip() == name and not name.startswith("[")),  # that would be the JSON form
    index=numbers,
    slots=numbers,
    memory_mib=numbers,
    cores=numbers,
    type=names,
    numa=st.integers(-1, 7),
    healthy=st.booleans(),
    mode=names,
)
lists = st.lists(devices, max_size=6, unique_by=lambda device: device.uuid)
shares = st.builds(
    Share, uuid=names.filter(lambda name: "[" not in name), kind=names, memory_mib=numbers, cores=numbers
)
positions = st.lists(st.lists(shares, max_size=3).map(tuple), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize("row", rows("codecs.yaml", "registers"))
def test_a_register_text_is_read_as_the_example_says(row: dict[str, Any]) -> None:
    if "error" in row:
        with pytest.raises(ProtocolError) as caught:
            protocol.decode_devices(KEY, row["text"])
        assert row["error"] in str(caught.value)
        assert caught.value.key == KEY
        return
    read = protocol.decode_devices(KEY, row["text"])
    told = [{name: getattr(device, name) for name in card} for device, card in zip(read, row["cards"], strict=True)]
    assert told == row["cards"]


@pytest.mark.parametrize("row", rows("codecs.yaml", "allocations"))
def test_an_allocation_text_is_read_as_the_example_says(row: dict[str, Any]) -> None:
    if "error" in row:
        with pytest.raises(ProtocolError, match=r"at character \d+") as caught:
            protocol.decode_shares(KEY, row["text"])
        assert row["error"] in str(caught.value)
        return
    read = [
        [[share.uuid, share.kind, share.memory_mib, share.cores] for share in shares]
        for shares in protocol.decode_shares(KEY, row["text"])
    ]
    assert read == row["positions"]


@pytest.mark.parametrize("row", rows("codecs.yaml", "locks"))
def test_a_node_lock_is_read_as_the_example_says(row: dict[str, Any]) -> None:
    if "error" in row:
        with pytest.raises(ProtocolError, match=protocol.NODE_LOCK) as caught:
            protocol.parse_lock(row["text"])
        assert row["error"] in str(caught.value)
        return
    lock = protocol.parse_lock(row["text"])
    assert lock.taken == row["taken"]
    assert [lock.namespace, lock.name] == row.get("holder", ["", ""])
    assert "holder" not in row or lock.held_by(*row["holder"])
    for namespace, name in row.get("strangers", ()):
        assert not lock.held_by(namespace, name)


def test_the_lock_is_written_in_utc_with_seconds() -> None:
    assert protocol.format_lock(1_760_000_000.9, "default", "train-0") == "2025-10-09T08:53:20Z,default,train-0"


def test_the_error_points_at_the_entry_that_is_wrong() -> None:
    text = "GPU-a,NVIDIA,1,1:;GPU-b,NVIDIA:;"
    with pytest.raises(ProtocolError) as caught:
        protocol.decode_shares(KEY, text)
    assert text[caught.value.offset :] == "GPU-b,NVIDIA:;"


@given(lists)
def test_cards_in_the_comma_form_are_read_back(cards: list[Device]) -> None:
    text = protocol.encode_devices_text(cards)
    assert list(protocol.decode_devices(KEY, text)) == sorted(cards, key=lambda d: (d.index, d.uuid))


@given(lists)
def test_cards_in_the_json_form_are_read_back(cards: list[Device]) -> None:
    text = protocol.encode_devices_json(cards, "NVIDIA")
    assert list(protocol.decode_devices(KEY, text)) == sorted(cards, key=lambda d: (d.index, d.uuid))


def test_the_json_form_leaves_zero_values_out() -> None:
    card = Device("GPU-a", index=0, slots=10, memory_mib=1, cores=0, type="T", healthy=False)
    assert json.loads(protocol.encode_devices_json([card], "NVIDIA")) == [
        {"id": "GPU-a", "count": 10, "devmem": 1, "type": "T", "devicevendor": "NVIDIA"}
    ]


@given(positions)
def test_shares_are_read_back_with_their_positions(given_positions: tuple[tuple[Share, ...], ...]) -> None:
    text = protocol.encode_shares(given_positions)
    assert text.count(";") == len(given_positions)
    assert protocol.decode_shares(KEY, text) == given_positions


@given(st.dictionaries(names, positions, max_size=3))
def test_our_own_record_is_read_back(families: dict[str, tuple[tuple[Share, ...], ...]]) -> None:
    text = protocol.encode_allocation(Allocation(families))
    assert protocol.decode_allocation(text).families == families


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"NVIDIA"',
        '{"NVIDIA": 1}',
        '{"NVIDIA": [1]}',
        '{"NVIDIA": [[["GPU-a", "NVIDIA", 1]]]}',
        '{"NVIDIA": [[["GPU-a", "NVIDIA", 1, "2"]]]}',
        '{"NVIDIA": [[["GPU-a", "NVIDIA", true, 2]]]}',
        '{"NVIDIA": [[["GPU-a", "NVIDIA", -1, 2]]]}',
        '{"NVIDIA": [[["GPU-a", "NVIDIA", 1, 2147483648]]]}',
        '{"NVIDIA": [[[7, "NVIDIA", 1, 2]]]}',
        '{"NVIDIA": [[["GPU-\\ud800", "NVIDIA", 1, 2]]]}',
        "[" * 100_000,
    ],
)
def test_a_malformed_record_of_ours_is_told(text: str) -> None:
    with pytest.raises(ProtocolError, match=protocol.OWN_ALLOCATION):
        protocol.decode_allocation(text)


@given(st.text(max_size=60))
def test_no_text_breaks_a_reader_in_another_way(text: str) -> None:
    for read in (
        lambda: protocol.decode_devices(KEY, text),
        lambda: protocol.decode_shares(KEY, text),
        lambda: protocol.decode_allocation(text),
        lambda: protocol.parse_lock(text),
    ):
        with contextlib.suppress(ProtocolError):
            read()


@pytest.mark.parametrize(("text", "items"), [("", ()), (" , ", ()), ("a", ("a",)), (" a , b,,", ("a", "b"))])
def test_users_lists_are_trimmed_and_empty_ones_are_no_constraint(text: str, items: tuple[str, ...]) -> None:
    assert protocol.split_list(text) == items


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("T", True), ("true", True), ("0", False), ("F", False), ("yes", None), ("", None)]
)
def test_booleans_are_those_of_go(text: str, value: bool | None) -> None:
    assert protocol.parse_bool(text) is value
