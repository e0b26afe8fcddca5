"""The table for people: bars that never hide what is used, and colours only on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hami_operator.simulation.table import write_table


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def content(used: int, capacity: int = 100, *, healthy: bool = True) -> dict[str, Any]:
    amount = {"capacity": capacity, "used": used}
    card = {"node": "n1", "vendor": "NVIDIA", "uuid": "GPU-a", "index": 0, "type": "T", "healthy": healthy}
    return {"pods": [], "quotas": [], "devices": [{**card, "slots": amount, "memory": amount, "cores": amount}]}


def written(stream: io.StringIO, result: dict[str, Any]) -> str:
    write_table(result, stream, width=80)
    return stream.getvalue()


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m█" in written(Terminal(), content(50))
    assert "\x1b[33m█" in written(Terminal(), content(90))
    assert "\x1b[31m█" in written(Terminal(), content(101))
    assert "\x1b" not in written(io.StringIO(), content(50))


@pytest.mark.parametrize(
    ("used", "capacity", "full"),
    [(0, 100, 0), (1, 100, 1), (10, 100, 1), (11, 100, 2), (100, 100, 10), (200, 100, 10), (0, 0, 0)],
)
def test_a_bar_is_rounded_up_and_never_longer_than_its_place(used: int, capacity: int, full: int) -> None:
    line = written(io.StringIO(), content(used, capacity)).splitlines()[-1]
    assert f"GPU-a  {'█' * full}{'░' * (10 - full)} {used}/{capacity} " in line


def test_a_sick_card_is_called_so() -> None:
    assert "sick" in written(io.StringIO(), content(0, healthy=False))


def test_a_world_without_pods_and_cards_is_one_line() -> None:
    assert written(io.StringIO(), {"pods": [], "quotas": [], "devices": []}) == "No pods that want in.\n"
