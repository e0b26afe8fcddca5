"""Typed access to the fields of API objects: the wrong type is an ``ObjectError`` that names the field."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from .errors import ObjectError

Object = Mapping[str, Any]
Number = TypeVar("Number", int, float)

# What is looked for. The common type stands first: asking whether it is a Mapping takes ten times as long.
_OBJECTS = (dict, Mapping)
_LISTS = (list, tuple)
_AMOUNTS = (str, int, float)


def mapping(parent: Object, name: str, path: str = "") -> Object:
    """A nested object; absent or null is empty."""
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, _OBJECTS):
        raise ObjectError(f"{path}{name}", value, "an object")
    return value


def items(parent: Object, name: str, path: str = "") -> Sequence[Object]:
    """A list of objects; absent or null is empty."""
    value = parent.get(name)
    if value is None:
        return ()
    if not isinstance(value, _LISTS):
        raise ObjectError(f"{path}{name}", value, "a list")
    for position, item in enumerate(value):
        if not isinstance(item, _OBJECTS):
            raise ObjectError(f"{path}{name}[{position}]", item, "an object")
    return value


def texts(parent: Object, name: str, path: str = "") -> tuple[str, ...]:
    """A list of texts; absent or null is empty."""
    value = parent.get(name)
    if value is None:
        return ()
    if not isinstance(value, _LISTS) or not all(isinstance(item, str) for item in value):
        raise ObjectError(f"{path}{name}", value, "a list of texts")
    return tuple(value)


def text(parent: Object, name: str, path: str = "", *, default: str = "") -> str:
    """A text; absent or null is ``default``."""
    value = parent.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ObjectError(f"{path}{name}", value, "a text")
    return value


def integer(parent: Object, name: str, path: str = "") -> int:
    """An integer; absent or null is 0."""
    value = parent.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise ObjectError(f"{path}{name}", value, "an integer")
    return value


def flag(parent: Object, name: str, path: str = "") -> bool:
    """A boolean; absent or null is False."""
    value = parent.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ObjectError(f"{path}{name}", value, "true or false")
    return value


def text_map(parent: Object, name: str, path: str = "") -> dict[str, str]:
    """An object whose values are texts (labels, annotations); absent or null is empty."""
    value = mapping(parent, name, path)
    for key, item in value.items():
        if not isinstance(item, str):
            raise ObjectError(f"{path}{name}[{key}]", item, "a text")
    return dict(value)


def amounts(parent: Object, name: str, path: str = "") -> dict[str, str]:
    """A resource list as quantity texts; YAML and JSON numbers are taken as they are written."""
    result = {}
    for key, item in mapping(parent, name, path).items():
        if not isinstance(item, _AMOUNTS) or isinstance(item, bool):
            raise ObjectError(f"{path}{name}[{key}]", item, "a quantity")
        result[key] = str(item)
    return result


def number(quantity: str, field: str, convert: Callable[[str], Number]) -> Number:
    """A quantity text converted; a malformed one is an ObjectError."""
    try:
        return convert(quantity)
    except ValueError:
        raise ObjectError(field, quantity, "a quantity") from None


def moment(parent: Object, name: str, path: str = "") -> float:
    """A time as unix seconds; absent or null is 0. YAML may have made a datetime of it already."""
    value = parent.get(name)
    if value is None:
        return 0.0
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise ObjectError(f"{path}{name}", value, "an RFC 3339 time") from None
    if not isinstance(value, datetime.datetime):
        raise ObjectError(f"{path}{name}", value, "an RFC 3339 time")
    return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()
