"""From bytes to objects, each with its place in the input. YAML is read as the API server's own tools read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import yaml

from .errors import ScenarioError

Json = Mapping[str, Any]

_LIST = "List"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object stands: ``unit`` (document or line) number from 1, and its position from 1 inside a List."""

    source: str
    number: int
    unit: str = "document"
    item: int | None = None

    def __str__(self) -> str:
        text = f"{self.source}, {self.unit} {self.number}"
        return text if self.item is None else f"{text}, item {self.item}"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of the input and its place."""

    place: Place
    content: Json


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Dates stay texts and keys become texts, as in the JSON that the API server is sent."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the attribute is PyYAML's
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """PyYAML's own, with every key as a text before keys are compared (1 and true are equal in Python)."""
        self.flatten_mapping(node)
        return {self._key(key): self.construct_object(value, deep) for key, value in node.value}

    def _key(self, node: yaml.Node) -> str:
        key = self.construct_object(node, deep=True)
        if isinstance(key, dict | list):
            raise yaml.constructor.ConstructorError(None, None, "a key is no plain text", node.start_mark)
        return key if isinstance(key, str) else json.dumps(key, default=str)


def read_documents(source: str, data: bytes) -> list[Document]:
    """All objects of one file, Lists unfolded; ``source`` names it in messages.

    Raises:
        ScenarioError: the bytes are neither YAML nor JSON, or something in them is no object.
    """
    contents = _json(data) or _yaml(source, data)
    places = ((Place(source, number), content) for number, content in enumerate(contents, 1))
    return [document for place, content in places if content is not None for document in _unfold(place, content)]


def read_line(source: str, number: int, data: bytes) -> list[Document]:
    """The objects of one line of a batch: a List, an array of objects, or one object, as JSON. Raises ScenarioError."""
    place = Place(source, number, unit="line")
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ScenarioError([f"{place}: no valid JSON: {error}"]) from None
    return list(_unfold(place, content))


def _json(data: bytes) -> list[Any] | None:
    """The content of a JSON text, which reads a hundred times faster than YAML; None when it is none."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return [msgspec.json.decode(data)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _yaml(source: str, data: bytes) -> list[Any]:
    contents: list[Any] = []
    try:
        for content in yaml.load_all(data, Loader=_Loader):
            contents.append(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise ScenarioError([f"{Place(source, len(contents) + 1)}: no valid YAML: {text}"]) from None
    return contents


def _unfold(place: Place, content: object) -> Iterator[Document]:
    """An object as it is; of a List (or PodList, ...) and of a bare array the items, whose kind the list may tell."""
    if isinstance(content, list):
        yield from _items(place, content, "")
    elif not isinstance(content, Mapping):
        raise ScenarioError([f"{place}: {_shown(content)} is not a Kubernetes object (a mapping with kind and name)"])
    elif _is_list(content):
        items = content.get("items")
        if items is not None and not isinstance(items, list):
            raise ScenarioError([f"{place}: {content['kind']}: items: {_shown(items)} is not a list"])
        yield from _items(place, items or (), content["kind"].removesuffix(_LIST))
    else:
        yield Document(place, content)


def _is_list(content: Json) -> bool:
    kind = content.get("kind")
    return kind == _LIST or (isinstance(kind, str) and kind.endswith(_LIST) and "items" in content)


def _items(place: Place, items: Iterable[object], kind: str) -> Iterator[Document]:
    for position, item in enumerate(items, 1):
        inner = replace(place, item=position)
        named = {"kind": kind, **item} if isinstance(item, Mapping) and kind else item
        yield from _unfold(inner, named)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
