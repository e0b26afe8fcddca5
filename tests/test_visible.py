"""Text that acts is made text that is seen."""

from __future__ import annotations

import pytest

from hami_operator.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain-name", "plain-name"),
        ("größe 显卡", "größe 显卡"),
        ("a\nb\r", "a\\nb\\r"),
        ("\x1b[2J", "\\x1b[2J"),
        ("evil\u202egnp", "evil\\u202egnp"),
        ("\u2066x\u2069\ufeff\u200b", "\\u2066x\\u2069\\ufeff\\u200b"),
    ],
)
def test_only_what_acts_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
