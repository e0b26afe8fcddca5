"""The wire of kube-scheduler's extender calls: what is read, what is answered, and what is said of malformed calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from hami_operator.core.model import Node, Pod, PodKey
from hami_operator.serving.extender import Endpoints
from hami_operator.serving.server import serve
from tests.builders import container, device, node_object, pod_object

pytestmark = pytest.mark.asyncio

POD = pod_object("p", container(gpu=1, mem=1000), metadata={"uid": "u1"})


class NotNow(Exception):
    """No answer at present."""


@dataclass
class Answer:
    fitting: list[str]
    refused: dict[str, str]


@dataclass
class Extender:
    """Takes nodes whose name begins with ``good``; remembers what it was asked."""

    asked: list[object] = field(default_factory=list)

    def filter(self, pod: Pod, names: Sequence[str]) -> Answer:
        self.asked.append(("filter", pod.key.name, list(names)))
        if pod.key.name == "later":
            raise NotNow("waiting for nodes")
        return Answer([n for n in names if n.startswith("good")], {n: "no" for n in names if not n.startswith("good")})

    def try_on(self, pod: Pod, nodes: Sequence[Node]) -> Answer:
        self.asked.append(("try_on", pod.key.name, [node.name for node in nodes]))
        return self.filter(pod, [node.name for node in nodes])

    def prioritize(self, pod: Pod, names: Sequence[str]) -> dict[str, int]:
        return {name: 10 - number for number, name in enumerate(names)}

    def preempt(self, pod: Pod, victims: Mapping[str, Sequence[str]]) -> list[str]:
        self.asked.append({node: list(uids) for node, uids in victims.items()})
        return [node for node in victims if node.startswith("good")]

    async def bind(self, key: PodKey, node: str) -> str:
        self.asked.append((key, node))
        if node == "later":
            raise NotNow("this replica does not lead")
        return "" if node.startswith("good") else f"node {node} is full"


class Caller:
    """Posts as kube-scheduler does."""

    def __init__(self, url: str, extender: Extender) -> None:
        self.url, self.extender, self.seen = url, extender, list[tuple[str, bool]]()

    async def post(self, verb: str, body: object) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/{verb}", data=data) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.status == 200 else text


@asynccontextmanager
async def calling(size: int = 1 << 20) -> AsyncIterator[Caller]:
    extender, caller = Extender(), None

    def observe(verb: str, answered: bool, seconds: float) -> None:
        assert caller is not None
        assert seconds >= 0
        caller.seen.append((verb, answered))

    serving = await serve(Endpoints(lambda: extender, NotNow, observe).application(size), "127.0.0.1", 0)
    caller = Caller(f"http://127.0.0.1:{serving.port}", extender)
    try:
        yield caller
    finally:
        await serving.cleanup()


async def test_filter_tells_names_and_refusals_where_no_pod_is_ended_for_them() -> None:
    async with calling() as caller:
        status, answer = await caller.post("filter", {"Pod": POD, "Nodes": None, "NodeNames": ["good-1", "bad"]})
        assert (status, answer) == (
            200,
            {
                "Nodes": None,
                "NodeNames": ["good-1"],
                "FailedNodes": {},
                "FailedAndUnresolvableNodes": {"bad": "no"},
                "Error": "",
            },
        )
        assert caller.seen == [("filter", True)]


async def test_keys_are_read_whatever_their_case() -> None:
    async with calling() as caller:
        for form in ({"pod": POD, "nodenames": ["good"]}, {"POD": POD, "nodeNames": ["good"]}):
            assert (await caller.post("filter", form))[1]["NodeNames"] == ["good"]


async def test_whole_nodes_are_a_simulation_and_come_back_whole() -> None:
    nodes = {"items": [node_object("good-t", [device()]), node_object("bad-t")]}
    async with calling() as caller:
        _, answer = await caller.post("filter", {"Pod": POD, "Nodes": nodes, "NodeNames": None})
        assert [item["metadata"]["name"] for item in answer["Nodes"]["items"]] == ["good-t"]
        assert answer["Nodes"]["items"][0] == nodes["items"][0]
        assert answer["NodeNames"] is None
        assert caller.extender.asked[0] == ("try_on", "p", ["good-t", "bad-t"])


async def test_prioritize_tells_a_mark_for_each_node() -> None:
    async with calling() as caller:
        _, answer = await caller.post("prioritize", {"Pod": POD, "NodeNames": ["a", "b"]})
        assert answer == [{"Host": "a", "Score": 10}, {"Host": "b", "Score": 9}]
        _, answer = await caller.post("prioritize", {"Pod": POD, "Nodes": {"items": [node_object("c")]}})
        assert answer == [{"Host": "c", "Score": 10}]


@pytest.mark.parametrize(
    "victims",
    [
        {"NodeNameToMetaVictims": {"good": {"Pods": [{"UID": "v1"}], "NumPDBViolations": 2}, "bad": {"Pods": None}}},
        {
            "NodeNameToVictims": {
                "good": {"Pods": [{"metadata": {"name": "v", "uid": "v1"}}], "NumPDBViolations": 2},
                "bad": {"Pods": []},
            }
        },
    ],
    ids=["by uid", "whole pods"],
)
async def test_preempt_keeps_the_nodes_where_it_helps_and_their_victims(victims: dict[str, Any]) -> None:
    async with calling() as caller:
        _, answer = await caller.post("preempt", {"Pod": POD, **victims})
        assert answer == {"NodeNameToMetaVictims": {"good": {"Pods": [{"UID": "v1"}], "NumPDBViolations": 2}}}
        assert caller.extender.asked == [{"good": ["v1"], "bad": []}]


async def test_bind_answers_with_what_stood_against_it() -> None:
    async with calling() as caller:
        args = {"PodName": "p", "PodNamespace": "team-a", "PodUID": "u1"}
        assert await caller.post("bind", {**args, "Node": "good"}) == (200, {"Error": ""})
        assert await caller.post("bind", {**args, "Node": "bad"}) == (200, {"Error": "node bad is full"})
        assert await caller.post("bind", {**args, "Node": "later"}) == (200, {"Error": "this replica does not lead"})
        assert caller.extender.asked[0] == (PodKey("team-a", "p", "u1"), "good")
        assert caller.seen == [("bind", True), ("bind", True), ("bind", False)]


async def test_no_answer_at_present_is_said_where_the_form_has_a_place_for_it() -> None:
    async with calling() as caller:
        later = {**POD, "metadata": {**POD["metadata"], "name": "later"}}
        assert await caller.post("filter", {"Pod": later, "NodeNames": []}) == (200, {"Error": "waiting for nodes"})
        assert caller.seen == [("filter", False)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"Pod": None, "NodeNames": ["n1"]}, ["pod", "None", "dictionary"]),
        ({"NodeNames": ["n1"]}, ["pod", "required"]),
        ({"Pod": POD, "NodeNames": "n1"}, ["nodenames", "'n1'", "list"]),
        ({"Pod": POD, "NodeNames": [1]}, ["nodenames.0", "1", "string"]),
        ({"Pod": {**POD, "spec": {"containers": "x"}}, "NodeNames": []}, ["spec.containers", "'x'"]),
        ({"Pod": POD, "Nodes": {"items": [{"metadata": {}}]}}, ["metadata.name"]),
        (["x"], ["valid dictionary"]),
        (b"{", ["no JSON"]),
        (b"\xff", ["no JSON"]),
    ],
    ids=[
        "no pod",
        "pod missing",
        "names as text",
        "a number as name",
        "malformed pod",
        "node without name",
        "a list",
        "half",
        "no text",
    ],
)
async def test_a_malformed_call_is_told_field_value_and_what_is_allowed(body: object, words: list[str]) -> None:
    async with calling() as caller:
        status, answer = await caller.post("filter", body)
        assert status == 200
        assert all(word in answer["Error"] for word in words), answer["Error"]
        status, text = await caller.post("prioritize", body)
        assert (status, all(word in text for word in words)) == (400, True), text


async def test_a_bind_without_a_uid_is_refused() -> None:
    async with calling() as caller:
        _, answer = await caller.post("bind", {"PodName": "p", "PodNamespace": "d", "Node": "n"})
        assert answer["Error"].startswith("poduid: ")
        _, answer = await caller.post("bind", {"PodName": "p", "PodNamespace": "d", "PodUID": "", "Node": "n"})
        assert answer["Error"].startswith("poduid: '': ")


async def test_a_call_beyond_the_bound_is_refused() -> None:
    async with calling(size=1000) as caller:
        body = {"Pod": POD, "NodeNames": ["x" * 2000]}
        status, answer = await caller.post("filter", body)
        assert status == 200
        assert answer["Error"].startswith("the question is larger than extender.requestMib permits")
        assert (await caller.post("prioritize", body))[0] == 413
        assert caller.seen == [("filter", False), ("prioritize", False)]


async def test_an_error_of_ours_is_counted_as_no_answer() -> None:
    async with calling() as caller:
        caller.extender.filter = None  # type: ignore[assignment, method-assign]
        status, _ = await caller.post("filter", {"Pod": POD, "NodeNames": ["good"]})
        assert status == 500
        assert caller.seen == [("filter", False)]
