"""AMD: percent become compute units, the record names the model, an amount alone means one card."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hami_operator.core.model import Device, Node
from tests.builders import node
from tests.golden import rows
from tests.vendors.binding import bind, pod_of, world
from tests.vendors.replay import check_fit, check_request, family

AMD = family("AMD")

MODEL = "AMD Instinct MI300X VF"
QUARTER = {"amd.com/gpu": 1, "amd.com/gpumem": 4096, "amd.com/gpucores": 25}


def registered(model: str = MODEL) -> Node:
    record = {"id": "uuid2", "count": 10, "devmem": 196288, "devcore": 304, "type": model, "health": True}
    record["custominfo"] = {"pciBDF": "0000:05:00.0"}
    return node("n1", metadata={"annotations": {"hami.io/node-amd-register": json.dumps([record])}})


@pytest.mark.parametrize("row", rows("amd.yaml", "requests"))
def test_amounts_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(AMD, row)


@pytest.mark.parametrize("row", rows("amd.yaml", "fits"))
def test_a_node_gives_the_cards_or_the_reasons_of_the_example(row: dict[str, Any]) -> None:
    check_fit(AMD, Device("", 0, 10, 196288, 304, MODEL), row)


def test_d1_the_lists_name_the_model_and_whole_compute_units() -> None:
    text = f"uuid2,{MODEL},4096,76:;"
    assert bind(world(AMD, registered()), AMD, pod_of("p", QUARTER)) == {
        "hami.io/amd-devices-to-allocate": text,
        "hami.io/amd-devices-allocated": text,
    }


def test_a_model_with_the_marks_of_a_record_in_its_name_breaks_no_list() -> None:
    written = bind(world(AMD, registered("MI: 300, X;")), AMD, pod_of("p", QUARTER))
    assert written["hami.io/amd-devices-allocated"] == "uuid2,MI- 300- X-,4096,76:;"


def test_the_plugins_own_key_is_nobody_elses() -> None:
    assert AMD.writes("hami.io/amd-cu-allocated")
