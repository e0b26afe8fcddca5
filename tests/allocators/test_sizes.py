"""Sizes of partitions against brute force: every list of sizes, everything that may be asked of it."""

from __future__ import annotations

import itertools

import pytest

from hami_operator.allocators.sizes import Partition, partition, percent, smallest
from hami_operator.core.model import DeviceRequest

SIZES = [Partition(g, gib, f"{g}g.{gib}gb") for g, gib in ((1, 6), (1, 10), (2, 10), (3, 20), (6, 40), (6, 20))]
LISTS = [sizes for count in range(1, 5) for sizes in itertools.combinations(SIZES, count)]


@pytest.mark.parametrize("memory", [None, 1, 6, 7, 20, 40, 41, 80, 81, 6144, 6145, 20480, 50000])
@pytest.mark.parametrize("cores", [None, 1, 16, 17, 18, 34, 50, 51, 100])
def test_no_smaller_partition_has_what_is_asked(memory: int | None, cores: int | None) -> None:
    if memory is None and cores is None:
        return
    for sizes in LISTS:
        largest_gib, most = max(size.gib for size in sizes), max(size.slices for size in sizes)
        mib = memory if memory is not None and memory > 2 * largest_gib else (memory or 0) * 1024
        having = [size for size in sizes if size.gib * 1024 >= mib and size.slices * 100 > ((cores or 0) - 1) * most]
        assert smallest(sizes, DeviceRequest(1, memory, None, cores)) == min(having, default=None), sizes


def test_a_size_that_is_asked_by_its_slices_has_just_so_many() -> None:
    for sizes in LISTS:
        for slices in range(1, 8):
            found = smallest(sizes, DeviceRequest(1, slices=slices))
            assert (found is None) == (slices not in {size.slices for size in sizes})
            assert found is None or found.slices == slices


def test_compute_is_a_part_of_the_largest_rounded_down() -> None:
    assert [percent(size, SIZES) for size in SIZES] == [16, 16, 33, 50, 100, 100]


@pytest.mark.parametrize("name", ["3g", "g.20gb", "03g.20gb", "3g.20GB", "51g.20gb", "3g.0gb", " 3g.20gb", "3g.20gb\n"])
def test_a_name_that_is_no_size_is_none(name: str) -> None:
    assert partition(name) is None
    assert partition("3g.20gb", "1") == Partition(3, 20, "3g.20gb", "1")
