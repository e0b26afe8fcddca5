"""What plugins publish as JSON, read field by field, with errors that name the field that is wrong.

An absent field is the zero of its kind, as the Go programs that write these texts leave zeros out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from .errors import ProtocolError

#: The largest number HAMi's programs read (Go int32).
INT32_MAX = 2**31 - 1

#: JSON's escapes can write half a character, which no program could send on.
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a text that can be sent on."""
    return isinstance(value, str) and _HALF_CHARACTER.search(value) is None


def read_number(key: str, offset: int, name: str, value: object) -> int:
    """An integer of the wire, as a number or as digits. Raises ProtocolError."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,10}", value):
        value = int(value)
    lowest = -1 if name == "numa" else 0
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= INT32_MAX:
        raise ProtocolError(key, offset, f"{name} {value!r} is not an integer from {lowest} to {INT32_MAX}")
    return value


def read_json(key: str, text: str) -> Any:
    """The text's content. Raises ProtocolError when it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(key, getattr(error, "pos", 0), "the text is no valid JSON") from None


@dataclass(frozen=True, slots=True)
class Record:
    """One object of a list under an annotation; ``place`` names it in errors."""

    key: str
    place: str
    fields: Mapping[str, Any]

    def number(self, name: str) -> int:
        """An integer, 0 where it is absent. Raises ProtocolError."""
        return read_number(self.key, 0, name if name == "numa" else f"{self.place}: {name}", self.fields.get(name, 0))

    def text(self, name: str) -> str:
        """A text, empty where it is absent. Raises ProtocolError."""
        value = self.fields.get(name, "")
        if not is_text(value):
            raise ProtocolError(self.key, 0, f"{self.place}: {name} {value!r} is not a text")
        return value

    def flag(self, name: str) -> bool:
        """True or false, false where it is absent. Raises ProtocolError."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise ProtocolError(self.key, 0, f"{self.place}: {name} {value!r} is neither true nor false")
        return value


def read_records(key: str, records: object) -> list[Record]:
    """The objects of a JSON list. Raises ProtocolError when it is none, or holds something else."""
    if not isinstance(records, list):
        raise ProtocolError(key, 0, "the text is no JSON list")
    for position, record in enumerate(records):
        if not isinstance(record, dict):
            raise ProtocolError(key, 0, f"record {position} is no JSON object")
    return [Record(key, f"record {position}", record) for position, record in enumerate(records)]
