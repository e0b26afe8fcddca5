"""Card types and the cards of a node."""

from __future__ import annotations

import re

import pytest

from hami_operator.sandbox.cards import CARD_TYPES, card_type, cards_of
from hami_operator.sandbox.errors import BadSpec
from hami_operator.sandbox.plugins import HABITS

RELEASE = HABITS["nvidia"].releases["2.7"]


@pytest.mark.parametrize(
    ("name", "product", "memory"),
    [
        ("a100-40", "NVIDIA A100-SXM4-40GB", 40960),
        ("a100-80", "NVIDIA A100-SXM4-80GB", 81920),
        ("a30", "NVIDIA A30", 24576),
        ("h100", "NVIDIA H100 80GB HBM3", 81559),
        ("l40s", "NVIDIA L40S", 46068),
        ("t4", "Tesla T4", 15360),
    ],
)
def test_the_types_are_as_the_vendors_library_reports_them(name: str, product: str, memory: int) -> None:
    assert (card_type(name).product, card_type(name).memory_mib) == (product, memory)


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadSpec, match=r"'v100' is not known; known are a100-40, .*, z100l$"):
        card_type("v100")


@pytest.mark.parametrize(("count", "numa"), [(1, [0]), (2, [0, 1]), (3, [0, 0, 1]), (8, [0, 0, 0, 0, 1, 1, 1, 1])])
def test_the_first_half_of_the_cards_is_on_numa_node_0(count: int, numa: list[int]) -> None:
    assert [card.numa for card in cards_of("n1", CARD_TYPES["a30"], count, RELEASE)] == numa


def test_cards_are_the_same_every_time_and_differ_between_nodes() -> None:
    first, again, other = (cards_of(node, CARD_TYPES["a30"], 2, RELEASE) for node in ("n1", "n1", "n2"))
    assert first == again
    uuids = {card.uuid for card in (*first, *other)}
    assert len(uuids) == 4
    assert all(re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) for uuid in uuids)
    assert all(len(f"{uuid}-9") <= 63 for uuid in uuids)  # the longest device id the kubelet takes
