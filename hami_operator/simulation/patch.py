"""JSON patch (RFC 6902) as far as admission writes it: add, replace and remove. The object patched is not changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def apply_patch(content: Mapping[str, Any], operations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The object after all operations; parts that do not change are shared with the original.

    Raises:
        ValueError: an operation is of another kind.
        LookupError: a path leads nowhere.
    """
    for operation in operations:
        if operation["op"] not in ("add", "replace", "remove"):
            raise ValueError(f"operation {operation['op']!r} is not add, replace or remove")
        parts = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        content = _changed(content, parts, operation)
    return content


def _changed(target: Any, parts: Sequence[str], operation: Mapping[str, Any]) -> Any:
    head, rest = parts[0], parts[1:]
    if isinstance(target, list):
        return _changed_list(target, head, rest, operation)
    copy = dict(target)
    if rest:
        copy[head] = _changed(copy[head], rest, operation)
    elif operation["op"] == "remove":
        del copy[head]
    else:
        copy[head] = operation["value"]
    return copy


def _changed_list(target: list[Any], head: str, rest: Sequence[str], operation: Mapping[str, Any]) -> list[Any]:
    copy, position = list(target), len(target) if head == "-" else int(head)
    if rest:
        copy[position] = _changed(copy[position], rest, operation)
    elif operation["op"] == "remove":
        del copy[position]
    elif operation["op"] == "add":
        copy.insert(position, operation["value"])
    else:
        copy[position] = operation["value"]
    return copy
