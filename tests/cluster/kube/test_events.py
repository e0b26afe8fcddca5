"""Events as the API server keeps them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hami_operator.core.model import PodKey
from hami_operator.kube.client import Client
from hami_operator.kube.conditions import mark_unscheduled
from hami_operator.kube.errors import Invalid, NotFound
from hami_operator.kube.events import EventSettings, Occurrence, Recorder, Regarding
from tests.cluster.kube.conftest import World, until
from tests.faultproxy import FaultProxy, Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]


def about(pod: PodKey, note: str = "no card is free", reason: str = "FilteringFailed") -> Occurrence:
    return Occurrence(Regarding("Pod", pod.namespace, pod.name, pod.uid), reason, note, type="Warning")


async def events_of(client: Client, uid: str) -> list[dict[str, Any]]:
    """As ``kubectl describe`` finds them: core/v1, by the object's uid."""
    answer = await client.get("/api/v1/events", {"fieldSelector": f"involvedObject.uid={uid}"})
    return sorted(answer["items"], key=lambda event: str(event["eventTime"]))


@contextlib.asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator[Recorder]:
    task = asyncio.ensure_future(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait({task})
        await recorder.close()


async def test_an_event_is_found_at_its_pod(client: Client, world: World) -> None:
    pod = await world.pod()
    async with running(Recorder(client, EventSettings(instance="node-7"))) as recorder:
        recorder.record(about(pod, "é" * 2000))
    (event,) = await events_of(client, pod.uid)
    assert event["type"] == "Warning"
    assert event["reason"] == "FilteringFailed"
    assert event["involvedObject"]["name"] == pod.name
    assert (event["reportingComponent"], event["reportingInstance"]) == ("hami-operator", "node-7")
    assert event["message"] == "é" * 510 + "…"


async def test_an_event_gives_way_to_what_is_urgent_and_is_written_as_soon_as_that_is_done(
    client: Client, world: World
) -> None:
    pod, binding, looks = await world.pod(), True, 0

    def urgent() -> bool:
        nonlocal looks
        looks += 1
        return binding

    async with running(Recorder(client)) as recorder:
        recorder.urgent = urgent
        recorder.record(about(pod))
        await until(lambda: looks > 3, "it was looked whether the event may be written")
        assert recorder.waiting == 1
        assert await events_of(client, pod.uid) == []
        binding = False
        await until(lambda: recorder.waiting == 0, "the event is written")
    assert len(await events_of(client, pod.uid)) == 1


async def test_repetition_is_counted_in_the_event_that_is_there(client: Client, world: World) -> None:
    pod = await world.pod()
    async with running(Recorder(client, EventSettings(repeat_s=0.05))) as recorder:
        recorder.record(about(pod))

        async def written() -> bool:
            return len(await events_of(client, pod.uid)) == 1

        await until(written, "the event is written")
        for _ in range(4):
            recorder.record(about(pod))
        await until(lambda: recorder.waiting == 0, "the count is written")
    (event,) = await events_of(client, pod.uid)
    assert event["series"]["count"] == 5


async def test_an_event_that_expired_begins_anew_with_its_count(client: Client, world: World) -> None:
    pod = await world.pod()
    recorder = Recorder(client, EventSettings(repeat_s=0))
    recorder.record(about(pod))
    await recorder.close()
    (event,) = await events_of(client, pod.uid)
    await world.api.delete(f"/api/v1/namespaces/default/events/{event['metadata']['name']}")
    recorder.record(about(pod))
    await recorder.close()
    (event,) = await events_of(client, pod.uid)
    assert event["series"]["count"] == 2


async def test_an_event_about_a_node_is_written(client: Client, world: World) -> None:
    node = await world.read_node(await world.node())
    recorder = Recorder(client)
    recorder.record(Occurrence(Regarding("Node", "", node.name, node.uid), "LockForced", "a sentence"))
    await recorder.close()
    (event,) = await events_of(client, node.uid)
    assert event["metadata"]["namespace"] == "default"


async def test_nothing_is_lost_or_doubled_when_the_server_does_not_answer(
    proxied: Client, proxy: FaultProxy, client: Client, world: World
) -> None:
    pods = [await world.pod() for _ in range(3)]
    for kind in (Kind.DROP, Kind.CUT_AFTER, Kind.STATUS):
        proxy.fault(kind, "POST", "/events")
    async with running(Recorder(proxied)) as recorder:
        for pod in pods:
            recorder.record(about(pod))
        await until(lambda: recorder.waiting == 0, "all events are written")
    assert [len(await events_of(client, pod.uid)) for pod in pods] == [1, 1, 1]


async def test_what_the_server_refuses_does_not_stop_the_rest(client: Client, world: World) -> None:
    pod = await world.pod()
    recorder = Recorder(client)
    recorder.record(about(PodKey("no-such-namespace", "p", "u")))
    recorder.record(about(pod))
    await recorder.close()
    assert len(await events_of(client, pod.uid)) == 1


async def test_500_pending_pods_have_an_event_each(client: Client) -> None:
    recorder = Recorder(client, EventSettings(per_second=1000))
    pods = [PodKey("default", f"pending-{i}", f"uid-500-{i}") for i in range(500)]
    for pod in pods:
        recorder.record(about(pod, f"sentence of {pod.name}"))
    await recorder.close(limit_s=60)
    events = await client.get("/api/v1/events", {"fieldSelector": "reason=FilteringFailed"})
    uids = {event["involvedObject"]["uid"] for event in events["items"]}
    assert uids >= {pod.uid for pod in pods}
    assert recorder.dropped == 0


# -- the PodScheduled condition ----------------------------------------------------------------------------------


def scheduled(pod: dict[str, Any]) -> dict[str, Any]:
    (condition,) = [c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled"]
    return dict(condition)


async def test_a_pending_pod_shows_why(client: Client, world: World) -> None:
    pod = await world.pod()
    answer = await mark_unscheduled(client, pod, "no card is free", None)
    assert answer == await world.read(pod)
    first = scheduled(answer or {})
    assert first.pop("lastTransitionTime")
    expected = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no card is free"}
    assert first.items() >= expected.items()


async def test_the_condition_is_written_only_when_the_sentence_changes(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    pod = await world.pod()
    first = scheduled(await mark_unscheduled(proxied, pod, "one", None) or {})
    assert await mark_unscheduled(proxied, pod, "one", ("Unschedulable", "one")) is None
    assert proxy.writes() == 1
    second = scheduled(await mark_unscheduled(proxied, pod, "two", ("Unschedulable", "one")) or {})
    assert (second["message"], second["lastTransitionTime"]) == ("two", first["lastTransitionTime"])


async def test_the_condition_of_a_pod_of_the_same_name_is_left_alone(client: Client, world: World) -> None:
    old = await world.pod()
    await world.delete_pod(old)
    with pytest.raises(NotFound):
        await mark_unscheduled(client, old, "one", None)
    new = await world.pod(old.name)
    with pytest.raises(Invalid):
        await mark_unscheduled(client, old, "one", None)
    assert "conditions" not in (await world.read(new))["status"]
