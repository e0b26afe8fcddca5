"""Quantities are read exactly; what is no quantity is told."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core.quantity import milli, parse_quantity, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("3000", 3000),
        ("2k", 2000),
        ("1M", 10**6),
        ("1.5Gi", 3 * 2**29),
        ("1Ki", 1024),
        ("2Ei", 2 * 2**60),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("500m", Fraction(1, 2)),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("25e-1", Fraction(5, 2)),
        ("+7", 7),
        ("-7", -7),
        ("100n", Fraction(1, 10**7)),
        ("100u", Fraction(1, 10**4)),
        (" 12 ", 12),
    ],
)
def test_a_quantity_has_its_exact_value(text: str, value: Fraction) -> None:
    assert parse_quantity(text).value == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "k", "1 k", "1kk", "1KB", "1ki", "0x10", "1_000", "1,5", "NaN", "inf", "--1", "1e", "1e9999", "9" * 65],
)
def test_what_is_no_quantity_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity") as caught:
        parse_quantity(text)
    assert repr(text[:64]) in str(caught.value)


@pytest.mark.parametrize(("text", "binary"), [("1Gi", True), ("1Ki", True), ("1G", False), ("1k", False), ("1", False)])
def test_only_a_binary_suffix_means_bytes(text: str, binary: bool) -> None:
    assert parse_quantity(text).binary is binary


@pytest.mark.parametrize(("text", "whole"), [("2k", 2000), ("2000m", 2), ("1500m", None), ("0.5Ki", 512)])
def test_a_quantity_with_a_fraction_is_not_whole(text: str, whole: int | None) -> None:
    assert parse_quantity(text).whole == whole


@pytest.mark.parametrize(("text", "thousandths"), [("1", 1000), ("250m", 250), ("0.1m", 1), ("1.0001", 1001)])
def test_cpu_is_rounded_up_to_thousandths(text: str, thousandths: int) -> None:
    assert milli(text) == thousandths


@pytest.mark.parametrize(("text", "amount"), [("1Gi", 2**30), ("100m", 1), ("1.5", 2), ("-1.5", -1)])
def test_bytes_are_rounded_up(text: str, amount: int) -> None:
    assert plain(text) == amount


@given(st.integers(-(10**18), 10**18), st.sampled_from(["", "k", "M", "Ki", "Gi"]))
def test_whole_numbers_with_a_suffix_stay_whole(number: int, suffix: str) -> None:
    factor = {"": 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Gi": 2**30}[suffix]
    assert parse_quantity(f"{number}{suffix}").whole == number * factor


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    try:
        quantity = parse_quantity(text)
    except ValueError as error:
        assert "is not a quantity" in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert isinstance(quantity.value, Fraction)
