"""Parts of cards against brute force: the smallest that will do, nothing twice, nothing beyond the card."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.allocators.partitions import (
    Kind,
    Layouts,
    Part,
    Placements,
    Shape,
    Slot,
    layout,
    same_model,
    slices,
)

A100 = Placements(
    (
        Shape("1g.5gb", 4864, 14, (0, 1, 2, 3, 4, 5, 6), 1),
        Shape("2g.10gb", 9984, 29, (0, 2, 4), 2),
        Shape("3g.20gb", 20096, 43, (0, 4), 4),
        Shape("7g.40gb", 40448, 100, (0,), 8),
    )
)

kinds = st.builds(
    Kind,
    profile=st.sampled_from(["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"]),
    memory_mib=st.sampled_from([5, 10, 10, 20, 40]),
    count=st.integers(1, 3),
)
layouts = st.lists(st.lists(kinds, min_size=1, max_size=2), min_size=1, max_size=3).map(
    lambda drawn: Layouts(tuple(layout(str(number), each) for number, each in enumerate(drawn)))
)
shapes = st.lists(
    st.builds(
        Shape,
        profile=st.just(""),
        memory_mib=st.integers(1, 6),
        cores=st.integers(0, 40),
        starts=st.sets(st.integers(0, 5), min_size=1, max_size=4).map(lambda starts: tuple(sorted(starts))),
        size=st.integers(1, 4),
    ),
    min_size=1,
    max_size=3,
).map(
    lambda drawn: Placements(
        tuple(
            Shape(f"{number}g.x", shape.memory_mib, shape.cores, shape.starts, shape.size)
            for number, shape in enumerate(sorted(drawn, key=lambda shape: shape.memory_mib))
        )
    )
)
asks = st.lists(st.integers(0, 45), max_size=9)


def given_away(model: Layouts | Placements, memories: Sequence[int]) -> list[Part]:
    """What a sequence of requests gets; those that get nothing leave no trace."""
    taken: list[Part] = []
    for memory in memories:
        part = model.find([each.slot for each in taken], memory)
        if part is not None:
            taken.append(part)
    return taken


def spans(model: Placements, taken: Sequence[Slot]) -> list[set[int]]:
    sizes = {shape.profile: shape.size for shape in model.shapes}
    return [set(range(slot.position, slot.position + sizes[slot.plan])) for slot in taken]


# -- layouts -----------------------------------------------------------------------------------------------------


@given(model=layouts, memories=asks)
def test_parts_of_a_layout_are_given_once_and_from_one_layout(model: Layouts, memories: list[int]) -> None:
    taken = [part.slot for part in given_away(model, memories)]
    assert len(set(taken)) == len(taken)
    assert len({slot.plan for slot in taken}) <= 1
    assert model.problem(taken) == ""
    assert len(taken) <= model.most().parts


@given(model=layouts, memories=asks, memory=st.integers(0, 45))
def test_no_free_part_of_the_layout_in_use_is_smaller(model: Layouts, memories: list[int], memory: int) -> None:
    taken = [part.slot for part in given_away(model, memories)]
    usable = [each for each in model.layouts if not taken or each.name == taken[0].plan]
    free = [part for each in usable for part in each.parts if part.slot not in taken and part.memory_mib >= memory]
    found = model.find(taken, memory)
    assert (found is None) == (not free)
    if found is not None:
        assert found in free
        assert found.memory_mib == min(part.memory_mib for part in free)


@given(model=layouts, memory=st.integers(0, 45))
def test_an_idle_card_takes_of_equal_layouts_the_one_that_uses_most_of_it(model: Layouts, memory: int) -> None:
    found = model.find([], memory)
    if found is None:
        return
    by_name = {each.name: each for each in model.layouts}
    alike = [each for each in model.layouts if any(part.memory_mib == found.memory_mib for part in each.parts)]
    assert by_name[found.slot.plan].slices == max(each.slices for each in alike)


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ([Slot("7", 0)], "7-0 is in no layout"),
        ([Slot("0", 9)], "0-9 is in no layout"),
        ([Slot("0", 0), Slot("1", 0)], "parts of the layouts 0, 1"),
        ([Slot("0", 0), Slot("0", 0)], "0-0 is taken 2 times"),
    ],
)
def test_what_can_not_be_held_of_a_layout_is_told(taken: list[Slot], said: str) -> None:
    model = Layouts((layout("0", [Kind("1g.5gb", 5120, 7)]), layout("1", [Kind("2g.10gb", 10240, 3)])))
    assert said in model.problem(taken)
    assert model.problem([]) == ""


def test_a_card_of_no_layouts_gives_nothing() -> None:
    model = Layouts(())
    assert model.find([], 1) is None
    assert model.whole_mib() is None
    assert model.most() == (0, 0, 0)


# -- placements --------------------------------------------------------------------------------------------------


@given(model=shapes, memories=asks)
def test_placed_parts_never_overlap_and_are_places_of_the_card(model: Placements, memories: list[int]) -> None:
    parts = given_away(model, memories)
    taken = [part.slot for part in parts]
    for one, other in itertools.combinations(spans(model, taken), 2):
        assert not one & other
    assert model.problem(taken) == ""
    most = model.most()
    assert len(parts) <= most.parts
    assert sum(part.memory_mib for part in parts) <= most.memory_mib
    assert sum(part.cores or 0 for part in parts) <= most.cores


@given(model=shapes, memories=asks, memory=st.integers(0, 7))
def test_a_part_is_refused_only_if_no_place_is_free_and_is_of_the_smallest_profile_that_has_one(
    model: Placements, memories: list[int], memory: int
) -> None:
    taken = [part.slot for part in given_away(model, memories)]
    used = set().union(*spans(model, taken))
    free = [
        shape.memory_mib
        for shape in model.shapes
        for start in shape.starts
        if shape.memory_mib >= memory and not used & set(range(start, start + shape.size))
    ]
    found = model.find(taken, memory)
    assert (found is None) == (not free)
    if found is not None:
        assert found.memory_mib == min(free)


@given(model=shapes)
def test_the_most_a_card_gives_is_what_some_way_to_place_parts_gives(model: Placements) -> None:
    places = [Slot(shape.profile, start) for shape in model.shapes for start in shape.starts]
    memory, cores = (
        {shape.profile: getattr(shape, name) for shape in model.shapes} for name in ("memory_mib", "cores")
    )
    best = [0, 0, 0]
    for chosen in itertools.chain.from_iterable(itertools.combinations(places, n) for n in range(1, len(places) + 1)):
        if not model.problem(chosen):
            sums = [len(chosen), sum(memory[slot.plan] for slot in chosen), sum(cores[slot.plan] for slot in chosen)]
            best = [max(a, b) for a, b in zip(best, sums, strict=True)]
    assert list(model.most()) == best


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ([Slot("4g.20gb", 0)], "4g.20gb at slice 0 is no place"),
        ([Slot("2g.10gb", 1)], "2g.10gb at slice 1 is no place"),
        ([Slot("3g.20gb", 0), Slot("1g.5gb", 3)], "1g.5gb at slice 3 overlaps"),
    ],
)
def test_what_can_not_be_held_of_places_is_told(taken: list[Slot], said: str) -> None:
    assert said in A100.problem(taken)


def test_a_small_part_stands_where_large_ones_lose_least() -> None:
    assert A100.find([], 4000) == Part(Slot("1g.5gb", 6), "1g.5gb", 4864, 14)
    assert A100.find([Slot("3g.20gb", 4)], 4000) == Part(Slot("1g.5gb", 3), "1g.5gb", 4864, 14)


def test_the_whole_card_is_a_profile_with_one_place() -> None:
    assert A100.whole_mib() == 40448
    assert Placements(A100.shapes[:3]).whole_mib() is None


# -- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model", "same"),
    [
        ("A100-80GB-PCIe", "NVIDIA-NVIDIA A100 80GB PCIe", True),
        ("a100-sxm4-40gb", "NVIDIA A100-SXM4-40GB", True),
        ("A100-SXM4-40", "NVIDIA A100-SXM4-40GB", True),
        ("A30", "NVIDIA-NVIDIA A30", True),
        ("A30", "NVIDIA RTX A3000", False),
        ("H20", "NVIDIA H200", False),
        ("A100", "NVIDIA GA100", False),
        ("-", "NVIDIA A30", False),
    ],
)
def test_models_are_told_apart_by_whole_words(name: str, model: str, *, same: bool) -> None:
    assert same_model(name, model) is same


def test_a_profiles_name_tells_its_slices() -> None:
    assert [slices(name) for name in ("1g.5gb", "7g.79gb", "1g.10gb+me", "half")] == [1, 7, 1, 0]
