"""What is read quickly is what is read field by field; the unusual is left to the latter, with its errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core import protocol
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Device
from hami_operator.core.registered import read_comma_records, read_json_records

KEY = "hami.io/node-nvidia-register"

words = st.sampled_from(["GPU-a", "GPU-b", "0000:18:00.0", "", " GPU-a", "x;y", "é", "\ud800", "\\"])
numbers = st.sampled_from(
    ["0", "7", "81920", "007", "999999999", "1000000000", "2147483648", "-1", "+1", "1_0", "", "٣"]
)
usual = st.sampled_from(["0", "1", "2", "10", "81920"])
often = st.one_of(usual, usual, usual, numbers)
flags = st.sampled_from(["true", "true", "false", "1", "T", "yes", ""])
records = st.tuples(words, often, often, often, words, often, flags, often, words).map(",".join)


def outcome(text: str) -> tuple[Device, ...] | str:
    try:
        return protocol.decode_devices(KEY, text)
    except ProtocolError:
        return "refused"


@given(st.lists(records, max_size=3), st.sampled_from(["", "", "\n", "x"]))
def test_comma_records_are_read_alike_both_ways(lines: list[str], rest: str) -> None:
    text = "".join(f"{line}:" for line in lines) + rest
    quick = read_comma_records(text)
    assert quick is None or quick == outcome(f"{text} ")  # a blank behind the records is not read quickly


values = st.one_of(
    st.integers(-2, 3), st.sampled_from([2**30, 2**31, 1.0, True, None, "", "3", "GPU-a", "a,b", "é", "\ud800", [], {}])
)
fields = st.fixed_dictionaries(
    {"id": st.one_of(st.sampled_from(["GPU-a", "GPU-b", "GPU-c"]), values)},
    optional={
        **{name: st.one_of(st.integers(0, 3), values) for name in ("index", "count", "devmem", "devcore", "numa")},
        **{name: st.one_of(st.just("A30"), values) for name in ("type", "mode", "devicevendor")},
        "health": st.one_of(st.booleans(), values),
    },
)


@given(st.lists(st.one_of(fields, fields, values), max_size=3), st.booleans())
def test_json_records_are_read_alike_both_ways(content: list[Any], escaped: bool) -> None:
    text = json.dumps(content, ensure_ascii=escaped)
    quick = read_json_records(text, json.loads(text))
    slow = [{**item, "custominfo": {}} if isinstance(item, dict) else item for item in content]  # is not read quickly
    assert quick is None or quick == outcome(json.dumps(slow, ensure_ascii=escaped))


@pytest.mark.parametrize("text", ["", "no record", "a,b:", '{"id": "GPU-a"}'])
def test_a_text_of_neither_form_is_not_read_quickly(text: str) -> None:
    assert read_comma_records(text) is None


def test_what_plugins_write_is_read_quickly() -> None:
    cards = (
        Device("GPU-b", 0, 10, 81920, 100, "NVIDIA-NVIDIA A30", -1, False, "mig"),
        Device("GPU-a", 1, 1, 1, 0, "T4"),
    )
    text, as_json = protocol.encode_devices_text(cards), protocol.encode_devices_json(cards, "NVIDIA")
    assert read_comma_records(text) == cards
    assert read_comma_records("") is None
    assert read_json_records("[]", []) == ()
    healthy = (cards[1], Device("GPU-c", 2, 10, 81920, 100, "A30", 1))
    as_json = protocol.encode_devices_json(healthy, "NVIDIA")
    assert read_json_records(as_json, json.loads(as_json)) == healthy
