"""Wings against brute force: every set of fitting cards of the board, every set of n of them."""

from __future__ import annotations

import itertools

import pytest

from hami_operator.allocators.wings import BOARD, QUADS, any_count, power_of_two, sparing, worth

BOARDS = [set(fitting) for size in range(BOARD + 1) for fitting in itertools.combinations(range(BOARD), size)]
LEFT, RIGHT = set(range(4)), set(range(4, 8))
CROSS_PAIRS = [{0, 4}, {1, 5}, {2, 6}, {3, 7}]

#: Jobs of 2 and 4 cards that a wing of so many fitting cards can take no more once it gives away one: none of 1, none
#: of 3 (a pair stays), the pair of 2, the quad of 4.
DAMAGE = {1: 0, 3: 0, 2: 1, 4: 2}


def one_wing(chosen: set[int]) -> bool:
    return chosen <= LEFT or chosen <= RIGHT


def linked(chosen: set[int]) -> bool:
    """Whether these two or four may work together: in one wing, or one of the linked sets across."""
    return one_wing(chosen) or chosen in CROSS_PAIRS or chosen in [set(quad) for quad in QUADS]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_there_is_a_set_exactly_if_some_linked_set_fits(count: int) -> None:
    for fitting in BOARDS:
        sets = [set(chosen) for chosen in itertools.combinations(fitting, count) if linked(set(chosen))]
        chosen = power_of_two(sorted(fitting), count)
        assert (chosen is not None) == bool(sets), fitting
        if chosen is not None:
            assert set(chosen) in sets


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_set_stays_in_one_wing_wherever_one_holds_it(count: int) -> None:
    for fitting in BOARDS:
        if max(len(fitting & LEFT), len(fitting & RIGHT)) >= count:
            chosen = any_count(sorted(fitting), count)
            assert chosen is not None
            assert one_wing(set(chosen))


def test_a_single_card_comes_from_the_wing_where_it_does_least_damage() -> None:
    for fitting in BOARDS[1:]:
        sizes = [len(wing & fitting) for wing in (LEFT, RIGHT)]
        (chosen,) = power_of_two(sorted(fitting), 1) or ()
        wing = sizes[chosen // 4]
        assert DAMAGE[wing] == min(DAMAGE[size] for size in sizes if size)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_wing_that_fits_tightest_is_taken_and_the_left_of_equals(count: int) -> None:
    for fitting in BOARDS:
        wings = [sorted(wing & fitting) for wing in (LEFT, RIGHT) if len(wing & fitting) >= count]
        if wings:
            assert any_count(sorted(fitting), count) == min(wings, key=len)[:count]


def test_of_six_cards_a_quad_leaves_two_linked_ones_where_it_can() -> None:
    for fitting in (board for board in BOARDS if len(board) == 6):
        if max(len(fitting & LEFT), len(fitting & RIGHT)) == 4:
            continue
        quads = [set(quad) for quad in QUADS if set(quad) <= fitting]
        good = [quad for quad in quads if linked(fitting - quad)]
        chosen = power_of_two(sorted(fitting), 4)
        if quads:
            assert set(chosen or ()) in (good or quads)
        else:
            assert chosen is None


@pytest.mark.parametrize("count", [5, 6, 7])
def test_five_to_seven_fill_a_wing_and_go_on_with_partners(count: int) -> None:
    for fitting in BOARDS:
        chosen = any_count(sorted(fitting), count)
        if len(fitting) < count:
            assert chosen is None
            continue
        assert chosen is not None
        taken = set(chosen)
        assert len(taken) == count
        assert taken <= fitting
        fuller = max((LEFT, RIGHT), key=lambda wing: len(wing & fitting))
        assert taken >= fuller & fitting
        most = max(
            sum((card + 4) % 8 in taken_too for card in taken_too - fuller)
            for subset in itertools.combinations(fitting, count)
            if (taken_too := set(subset)) >= fuller & fitting
        )
        assert sum((card + 4) % 8 in taken for card in taken - fuller) == most


def shapes(count: int) -> list[set[int]]:
    """Every set of so many cards that one request for slices may get."""
    sets = [set(chosen) for chosen in itertools.combinations(range(BOARD), count)]
    return [chosen for chosen in sets if count > 4 or (one_wing(chosen) if count in (1, 3) else linked(chosen))]


@pytest.mark.parametrize("count", range(1, 9))
def test_no_more_cards_are_newly_cut_than_may_be_and_a_set_is_found_where_there_is_one(count: int) -> None:
    """Every board in which cards are cut, or whole, or do not fit."""
    sets = shapes(count)
    for kinds in itertools.product(range(3), repeat=BOARD):
        ready = [card for card in range(BOARD) if kinds[card] == 0]
        others = [card for card in range(BOARD) if kinds[card] == 1]
        fresh = [len(chosen.difference(ready)) for chosen in sets if chosen <= {*ready, *others}]
        for most in {0, 1, 2, min(fresh, default=0)}:
            chosen = sparing(ready, others, count, most)
            assert (chosen is not None) == (min(fresh, default=9) <= most), (kinds, most)
            if chosen is not None:
                assert set(chosen) in sets
                assert len(set(chosen).difference(ready)) <= most


@pytest.mark.parametrize("choose", [power_of_two, any_count])
def test_eight_are_the_whole_board(choose: object) -> None:
    assert callable(choose)
    assert choose(list(range(8)), 8) == list(range(8))
    assert choose(list(range(1, 8)), 8) is None


def test_whole_cards_come_by_one_two_four_or_eight() -> None:
    for count in (3, 5, 6, 7, 9, 16):
        assert power_of_two(list(range(8)), count) is None
    assert any_count(list(range(8)), 9) is None


def test_cards_are_taken_in_the_order_in_which_they_are_preferred() -> None:
    assert power_of_two([3, 1, 0, 2], 2) == [3, 1]
    assert any_count([2, 0, 1], 3) == [2, 0, 1]


def test_a_board_of_fewer_cards_has_one_wing() -> None:
    assert power_of_two([0, 1], 2) == [0, 1]
    assert power_of_two([0, 1], 4) is None


def jobs(used: set[int]) -> int:
    """The fewest jobs of 1, 2 or 4 cards, none across the wings, that fill a board; an idle one takes one of eight."""
    free = [4 - len(used & wing) for wing in (LEFT, RIGHT)]
    return sum(size.bit_count() for size in free) if used else 1


def test_the_worth_of_a_board_is_the_fewest_jobs_that_fill_it() -> None:
    for used in BOARDS:
        assert worth(used) == jobs(used)
