"""Kubernetes quantities, read exactly. Decimal suffixes are plain numbers, binary suffixes are bytes.

The API server rewrites ``2000`` as ``2k`` before any webhook sees it, so a decimal suffix never means bytes for a
resource counted in MiB; only a binary one tells that the user thought of bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}

#: Suffixes that mean bytes for every amount of memory.
BINARY_SUFFIXES = frozenset(_BINARY)
_DECIMAL = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
}
_FORM = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE]))?")

#: Longer texts are no amounts of anything; the limit keeps hostile input cheap.
_MAX_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount: ``value`` in plain units (bytes for a binary suffix), ``suffix`` as it was written."""

    value: Fraction
    suffix: str

    @property
    def binary(self) -> bool:
        """Whether it was written with a binary suffix (Ki ... Ei), which means bytes."""
        return self.suffix in _BINARY

    @property
    def whole(self) -> int | None:
        """The value as an integer, or None when it has a fraction."""
        return int(self.value) if self.value.denominator == 1 else None


def parse_quantity(text: str) -> Quantity:
    """Read a quantity text such as ``3000``, ``2k``, ``500m``, ``1.5Gi`` or ``1e3``.

    Raises:
        ValueError: the text is no quantity; the message quotes it.
    """
    match = _FORM.fullmatch(text.strip()) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise ValueError(f"{text[:_MAX_LENGTH]!r} is not a quantity (a number, at most one suffix such as k, M, Gi)")
    sign, digits, exponent, suffix = match.groups()
    number = Fraction(digits if digits[0] != "." else "0" + digits)
    if exponent:
        number *= Fraction(10) ** int(exponent[1:])
    else:
        number *= _BINARY.get(suffix or "", _DECIMAL.get(suffix or "", Fraction(1)))
    return Quantity(-number if sign == "-" else number, suffix or exponent or "")


def milli(text: str) -> int:
    """A cpu quantity in thousandths, rounded up as Kubernetes does. Raises ValueError as ``parse_quantity``."""
    return -int(-parse_quantity(text).value * 1000 // 1)


def plain(text: str) -> int:
    """A quantity as a plain integer (bytes for memory), rounded up. Raises ValueError as ``parse_quantity``."""
    if text.isdecimal() and len(text) <= _MAX_LENGTH:  # nearly all amounts are
        return int(text)
    return -int(-parse_quantity(text).value // 1)
