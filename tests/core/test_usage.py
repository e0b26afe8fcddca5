"""What a pod holds of each card: the apps and sidecars together, or one init container, whichever is more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core.model import Allocation, ContainerKind, Share
from hami_operator.core.usage import holdings
from hami_operator.core.vendor import Amounts

INIT, SIDECAR, APP = ContainerKind.INIT, ContainerKind.SIDECAR, ContainerKind.APP


def held(
    positions: list[list[tuple[str, int, int]]], kinds: list[ContainerKind], *, init_done: bool = False
) -> dict[str, Amounts]:
    shares = tuple(tuple(Share(card, "NVIDIA", memory, cores) for card, memory, cores in row) for row in positions)
    return dict(holdings(Allocation({"NVIDIA": shares}), kinds, init_done=init_done)["NVIDIA"])


def test_shares_of_app_containers_add_up() -> None:
    assert held([[("a", 1000, 10)], [("a", 500, 5), ("b", 1, 0)]], [APP, APP]) == {
        "a": Amounts(2, 1500, 15),
        "b": Amounts(1, 1, 0),
    }


def test_an_init_container_on_the_same_card_counts_by_the_larger_amount() -> None:
    positions = [[("b", 8000, 0)], [], [("b", 2000, 0)]]
    assert held(positions, [INIT, APP, APP]) == {"b": Amounts(1, 8000, 0)}
    assert held(positions, [INIT, APP, APP], init_done=True) == {"b": Amounts(1, 2000, 0)}


def test_an_init_container_on_another_card_holds_it_until_it_is_done() -> None:
    positions = [[("b", 8000, 0)], [("a", 2000, 0)]]
    assert held(positions, [INIT, APP]) == {"a": Amounts(1, 2000, 0), "b": Amounts(1, 8000, 0)}
    assert held(positions, [INIT, APP], init_done=True) == {"a": Amounts(1, 2000, 0)}


def test_a_sidecar_adds_to_later_init_containers_and_to_the_apps() -> None:
    early, late = [("a", 5000, 0)], [("a", 5000, 0)]
    assert held([early, [("a", 1000, 0)], late, [("a", 100, 0)]], [INIT, SIDECAR, INIT, APP]) == {
        "a": Amounts(2, 6000, 0)
    }
    assert held([[("a", 1000, 0)], [("a", 100, 0)]], [SIDECAR, APP], init_done=True) == {"a": Amounts(2, 1100, 0)}


def test_instances_of_one_physical_card_are_held_of_that_card() -> None:
    assert held([[("a[0-1]", 10, 0), ("a[0-2]", 10, 0)]], [APP]) == {"a": Amounts(2, 20, 0)}


def test_a_list_of_app_containers_alone_is_read_as_such() -> None:
    assert held([[("a", 10, 0)]], [INIT, APP], init_done=True) == {"a": Amounts(1, 10, 0)}


@pytest.mark.parametrize("kinds", [[APP], [INIT, INIT, APP], [APP] * 5])
def test_a_list_of_another_length_belongs_to_the_pod_as_a_whole(kinds: list[ContainerKind]) -> None:
    assert held([[("a", 10, 0)], [("a", 10, 0)]], kinds) == {"a": Amounts(2, 20, 0)}


cards = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 9)), max_size=2)
containers = st.lists(st.tuples(cards, st.sampled_from([INIT, SIDECAR, APP])), min_size=1, max_size=5)


@given(containers)
def test_what_is_held_is_the_most_that_any_moment_of_the_pods_life_needs(
    rows: list[tuple[list[tuple[str, int, int]], ContainerKind]],
) -> None:
    rows.sort(key=lambda row: row[1] is APP)  # app containers come last on the wire
    moments: list[list[list[tuple[str, int, int]]]] = []
    running: list[list[tuple[str, int, int]]] = []
    for shares, kind in rows:
        if kind is INIT:
            moments.append([*running, shares])
        else:
            running.append(shares)
    moments.append(running)
    wanted: dict[str, Amounts] = {}
    for card in "ab":
        totals = [
            [
                sum(part)
                for part in zip((0, 0, 0), *((1, m, c) for row in moment for u, m, c in row if u == card), strict=True)
            ]
            for moment in moments
        ]
        most = Amounts(*(max(total[i] for total in totals) for i in range(3)))
        if most != (0, 0, 0):
            wanted[card] = most
    assert held([shares for shares, _ in rows], [kind for _, kind in rows]) == wanted
