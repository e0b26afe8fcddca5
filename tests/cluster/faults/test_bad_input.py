"""Bad input, a row each: the last good value is kept, the sentence is told, and never is a card given by guess."""

from __future__ import annotations

import json
import string

import pytest

from hami_operator.core import protocol
from hami_operator.sandbox import Kind as NodeKind
from hami_operator.sandbox import Node, NodeSpec
from hami_operator.sandbox.api import node_path
from hami_operator.sandbox.errors import ApiError
from tests.cluster.whole.stage import Json, container, until

from .stage import ALLOCATED, FaultStage, direct_only, on

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

REGISTER = "hami.io/node-nvidia-register"
SMALL = container(gpu=1, mem=1000)

RECORD = {"id": "GPU-x", "index": 0, "count": 10, "devmem": 15360, "devcore": 100, "type": "NVIDIA-T4", "health": True}


def but(**fields: object) -> str:
    return json.dumps([{**RECORD, **fields}])


UNREADABLE = {
    "words": "no list at all",
    "eight fields": "GPU-x,10,15360,100,NVIDIA-T4,0,true,0:",
    "negative memory": "GPU-x,10,-1,100,NVIDIA-T4,0,true:",
    "memory beyond int32": "GPU-x,10,99999999999,100,NVIDIA-T4,0,true:",
    "half a JSON list": '[{"id": "GPU-x"',
    "a JSON object": json.dumps(RECORD),
    "a list of numbers": "[1, 2, 3]",
    "memory as text": but(devmem="a lot"),
    "memory as float": but(devmem=15360.5),
    "slots as list": but(count=[10]),
    "id as number": but(id=7),
    "id with a comma": but(id="GPU-x,y"),
    "health as text": but(health="yes"),
    "the same card twice": json.dumps([RECORD, RECORD]),
    "deeply nested": "[" * 5000,
    "markup": "<script>alert(1)</script>\n",
    "250 KiB": "x" * 250_000,
}


async def node_event(stage: FaultStage, node: Node, since: int) -> Json:
    """The event that tells of a text that can't be read, newer than ``since``."""

    async def ask() -> Json | None:
        events = (await stage.api.get("/apis/events.k8s.io/v1/namespaces/default/events"))["items"]
        for event in events:
            ours = event["regarding"].get("name") == node.name and event["reason"] == "RegistrationUnreadable"
            if ours and int(event["metadata"]["resourceVersion"]) > since:
                return event
        return None

    return await until(f"an event about {node.name}", ask)


async def test_register_texts_that_cannot_be_read_keep_the_last_good_list_and_are_told(stage: FaultStage) -> None:
    (node,) = await stage.sandbox.add(NodeSpec("t4", cards=1, kind=NodeKind.SIMULATED, release="2.10"))
    for number, (name, text) in enumerate(UNREADABLE.items()):
        since = int((await stage.api.get(node_path(node.name)))["metadata"]["resourceVersion"])
        await stage.annotate(node_path(node.name), {REGISTER: text})
        event = await node_event(stage, node, since)
        assert "the last good list of cards is kept" in event["note"] or len(event["note"]) > 900, name
        assert len(event["note"].encode()) <= 1024
        if number % 4 == 0:
            await stage.create(f"p{number}", SMALL, nodeSelector=on(node))
            pod = await stage.running(f"p{number}")
            assert pod["metadata"]["annotations"][ALLOCATED].startswith(node.cards[0].uuid)


async def test_an_empty_register_text_is_a_node_without_cards(stage: FaultStage) -> None:
    (node,) = await stage.sandbox.add(NodeSpec("t4", cards=1, kind=NodeKind.SIMULATED, release="2.10"))
    good = (await stage.api.get(node_path(node.name)))["metadata"]["annotations"][REGISTER]
    await stage.annotate(node_path(node.name), {REGISTER: "[]"})
    await stage.create("p", SMALL, nodeSelector=on(node))
    await stage.refused("p", "NodeUnregistered")
    await stage.annotate(node_path(node.name), {REGISTER: good})
    await stage.running("p")


async def test_a_count_above_any_nodes_cards_waits_as_insufficient_device(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:2")
    await stage.create("p", container(gpu=3, mem=1000), nodeSelector=on(node))
    message = await stage.refused("p", "NodeInsufficientDevice")
    assert f"{node.name}): 2 cards, 3 asked" in message


async def test_a_pod_of_another_scheduler_is_left_alone(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("theirs", SMALL, nodeSelector=on(node), schedulerName="somebody-else")
    await stage.create("ours", SMALL, nodeSelector=on(node))
    await stage.running("ours")
    theirs = await stage.pod("theirs")
    assert not theirs["spec"].get("nodeName")
    assert "conditions" not in theirs["status"]


async def test_annotations_of_256_kib_are_refused_where_a_card_is_asked_for(stage: FaultStage) -> None:
    filler = {"filler": "x" * 262_000}
    with pytest.raises(ApiError, match="annotations"):
        await stage.create("p", SMALL, metadata={"annotations": filler})
    (node,) = await stage.nodes("t4:1")
    await stage.create("after", SMALL, metadata={"annotations": {"filler": "x" * 200_000}}, nodeSelector=on(node))
    await stage.running("after")


@direct_only
async def test_a_pod_that_is_too_large_to_be_fenced_holds_nobody_up(stage: FaultStage) -> None:
    """It never met the webhook, it waits, and no epoch can be written to it: a new leader must decide all the same."""
    (node,) = await stage.nodes("t4:1")
    metadata = {"annotations": {"filler": "x" * 262_130}, "labels": {"hami.io/webhook": "ignore"}}
    waits = {"schedulerName": "hami-scheduler", "nodeSelector": on("nowhere")}
    await stage.create("large", SMALL, metadata=metadata, **waits)
    await stage.refused("large", "NodeSelectorMismatch")
    await stage.restart()
    await stage.create("p", SMALL, nodeSelector=on(node))
    await stage.running("p")


async def test_a_pod_of_two_hundred_containers_gets_its_cards_by_position(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:4")
    parts = [container(f"c{i}", **({"gpu": 1, "mem": 700} if i % 10 == 7 else {"cpu": "1m"})) for i in range(200)]
    await stage.create("p", *parts, nodeSelector=on(node))
    pod = await stage.running("p", 60)
    positions = protocol.decode_shares(ALLOCATED, pod["metadata"]["annotations"][ALLOCATED])
    assert [i for i, shares in enumerate(positions) if shares] == list(range(7, 200, 10))


async def test_two_hundred_containers_that_each_ask_for_a_card_wait_with_a_reason(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:2")
    await stage.create("p", *(container(f"c{i}", gpu=1, mem=10) for i in range(200)), nodeSelector=on(node))
    await stage.refused("p", "asked 200, free 20 of 20")


MARKUP = "<script>alert('x')</script>\n"


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"nvidia.com/use-gputype": MARKUP}, "CardTypeMismatch"),
        ({"nvidia.com/use-gpuuuid": "a\nb,\n" + MARKUP}, "CardUuidMismatch"),
        ({"nvidia.com/nouse-gputype": "T4,\n" + MARKUP}, "CardTypeMismatch"),
    ],
    ids=["use-type", "use-uuid", "nouse-type"],
)
async def test_markup_and_line_breaks_in_selections_match_no_card(
    stage: FaultStage, annotation: dict[str, str], reason: str
) -> None:
    (node,) = await stage.nodes("t4:1")
    await stage.create("p", SMALL, nodeSelector=on(node), metadata={"annotations": annotation})
    await stage.refused("p", reason)


@pytest.mark.parametrize(
    "annotation",
    ["hami.io/gpu-scheduler-policy", "hami.io/node-scheduler-policy", "nvidia.com/vgpu-mode"],
)
async def test_markup_in_policy_words_is_refused_with_what_is_allowed(stage: FaultStage, annotation: str) -> None:
    with pytest.raises(ApiError, match="allowed") as refused:
        await stage.create("p", SMALL, metadata={"annotations": {annotation: MARKUP}})
    assert refused.value.status in (400, 403, 422)


async def test_free_annotations_of_any_text_are_carried_through_untouched(stage: FaultStage) -> None:
    (node,) = await stage.nodes("t4:1")
    texts = {"markup": MARKUP, "breaks": "a\r\nb\tc", "marks": string.punctuation, "unicode": "Ω≈ç√∫ 漢字 🎲"}
    await stage.create("p", SMALL, nodeSelector=on(node), metadata={"annotations": texts})
    pod = await stage.running("p")
    assert texts.items() <= pod["metadata"]["annotations"].items()
