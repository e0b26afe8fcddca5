"""Bytes become objects with their places, as YAML or JSON, in Lists or bare."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_operator.simulation.documents import read_documents, read_line
from hami_operator.simulation.errors import ScenarioError


def read(text: str | bytes) -> list[tuple[str, Any]]:
    data = text.encode() if isinstance(text, str) else text
    return [(str(document.place), document.content) for document in read_documents("w.yaml", data)]


def test_every_document_has_its_number_and_empty_ones_are_counted() -> None:
    assert read("a: 1\n---\n# nothing\n---\nb: 2\n") == [
        ("w.yaml, document 1", {"a": 1}),
        ("w.yaml, document 3", {"b": 2}),
    ]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n---\n"])
def test_an_empty_file_holds_nothing(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "kind: List\nitems: [{kind: Pod, n: 1}, {kind: List, items: [{kind: Node, n: 2}]}]\n",
        '{"kind": "List", "items": [{"kind": "Pod", "n": 1}, {"kind": "List", "items": [{"kind": "Node", "n": 2}]}]}',
        '[{"kind": "Pod", "n": 1}, [{"kind": "Node", "n": 2}]]',
    ],
)
def test_lists_are_unfolded(text: str) -> None:
    assert [content for _, content in read(text)] == [{"kind": "Pod", "n": 1}, {"kind": "Node", "n": 2}]


def test_the_place_of_an_item_names_it() -> None:
    assert [place for place, _ in read("kind: List\nitems: [{kind: A}, {kind: B}]")] == [
        "w.yaml, document 1, item 1",
        "w.yaml, document 1, item 2",
    ]


def test_items_of_a_typed_list_have_its_kind_where_they_tell_none() -> None:
    assert [content for _, content in read("kind: PodList\nitems: [{a: 1}, {kind: Other}]")] == [
        {"kind": "Pod", "a": 1},
        {"kind": "Other"},
    ]


def test_an_object_whose_kind_only_sounds_like_a_list_is_an_object() -> None:
    assert [content for _, content in read("kind: AllowList\nspec: {}")] == [{"kind": "AllowList", "spec": {}}]
    assert read("kind: List") == []
    assert read("kind: PodList\nitems: null") == []


def test_yaml_is_read_as_the_json_that_an_api_server_is_sent() -> None:
    ((_, content),) = read("when: 2025-10-09\nat: 2025-10-09T08:53:20Z\n1: one\ntrue: yes\nnull: {2: {3: x}}\nn: 0x10")
    assert content == {
        "when": "2025-10-09",
        "at": "2025-10-09T08:53:20Z",
        "1": "one",
        "true": True,
        "null": {"2": {"3": "x"}},
        "n": 16,
    }
    json.dumps(content)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\n---\nb: [\n", "w.yaml, document 2: no valid YAML"),
        ("a: 1\n---\nb: 2\nb: : 3\n", "w.yaml, document 2: no valid YAML"),
        ('{"a": 1', "w.yaml, document 1: no valid YAML"),
        ("hello", "w.yaml, document 1: 'hello' is not a Kubernetes object"),
        ("7", "w.yaml, document 1: 7 is not a Kubernetes object"),
        ("[1]", "w.yaml, document 1, item 1: 1 is not a Kubernetes object"),
        ("kind: List\nitems: 7", "w.yaml, document 1: List: items: 7 is not a list"),
        ("kind: List\nitems: [text]", "w.yaml, document 1, item 1: 'text' is not a Kubernetes object"),
        ("a: !!python/object:os.system x", "w.yaml, document 1: no valid YAML"),
        ("\x00", "w.yaml, document 1: no valid YAML"),
        ("? [a, b]\n: c", "w.yaml, document 1: no valid YAML"),
        (b"\xff\xfe\xff", "w.yaml, document 1: no valid YAML"),
        ("[" * 5000, "w.yaml, document 1: no valid YAML"),
    ],
)
def test_what_is_no_object_is_told_with_its_place(text: str | bytes, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert str(caught.value).startswith(words)


def test_a_long_text_is_shortened() -> None:
    with pytest.raises(ScenarioError) as caught:
        read("x" * 5000)
    assert len(str(caught.value)) < 200


def test_a_line_of_a_batch_has_its_number() -> None:
    documents = read_line("b.jsonl", 7, b'{"kind": "List", "items": [{"kind": "Pod"}]}\n')
    assert [str(document.place) for document in documents] == ["b.jsonl, line 7, item 1"]


@pytest.mark.parametrize("line", [b"", b"\n", b"{", b"[1", b"nonsense", b"\xff", b"[" * 100_000])
def test_a_line_that_is_no_json_is_told(line: bytes) -> None:
    with pytest.raises(ScenarioError, match=r"b\.jsonl, line 3: no valid JSON"):
        read_line("b.jsonl", 3, line)


@given(st.binary(max_size=60))
def test_any_bytes_are_objects_or_a_scenario_error(data: bytes) -> None:
    for reader in (lambda: read_documents("f", data), lambda: read_line("f", 1, data)):
        try:
            documents = reader()
        except ScenarioError as error:
            assert str(error).startswith("f, ")  # noqa: PT017 - both outcomes are right
        else:
            assert all(isinstance(document.content, dict) for document in documents)
