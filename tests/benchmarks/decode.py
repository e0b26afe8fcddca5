"""Reading a node's register annotation, against reading the same content as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from hami_operator.core import protocol
from hami_operator.core.model import Device

from .harness import Bench, Row, alternate, seconds_per_call

ROUNDS, CALLS, CARDS = 15, 300, 16
KEY = "hami.io/node-nvidia-register"


def run() -> Iterator[Row]:
    """A row for the comma form of HAMi 2.7, and one for the JSON form of later releases."""
    cards = [
        Device(
            f"GPU-{index:08}-5f0d-1f0e-8b52-4b0a9a3c6f2f", index, 10, 81920, 100, "NVIDIA-NVIDIA A100", 0, True, "mig"
        )
        for index in range(CARDS)
    ]
    as_json = protocol.encode_devices_json(cards, "NVIDIA")
    texts = {"decode": protocol.encode_devices_text(cards), "decode-json": as_json}

    def reading(text: str) -> Callable[[], object]:
        assert len(protocol.decode_devices(KEY, text)) == CARDS
        return lambda: protocol.decode_devices(KEY, text)

    for name, text in texts.items():
        arms = {"decode": reading(text), "json.loads": lambda: json.loads(as_json)}
        medians = alternate({key: _measured(work) for key, work in arms.items()}, ROUNDS)
        form = "comma" if name == "decode" else "JSON"
        what = f"decode of a {CARDS}-card register text ({form} form) over json.loads of the same content"
        yield Row(name, what, medians["decode"] / medians["json.loads"], medians, ROUNDS, 3, 1.5)


def _measured(work: Callable[[], object]) -> Callable[[], float]:
    return lambda: seconds_per_call(work, CALLS)


BENCH = Bench("decode", run)
