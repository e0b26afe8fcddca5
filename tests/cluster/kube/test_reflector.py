"""Lists and watches: everything is told, what was missed is mended, ghosts are buried, nobody else is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from hami_operator.kube import paths
from hami_operator.kube.client import Client
from hami_operator.kube.reflector import Mended, Reflector, ReflectorSettings
from tests.cluster.kube.conftest import World, until
from tests.faultproxy import FaultProxy, Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

QUICK = ReflectorSettings(grace_s=0.05)


class Sink:
    """What a handler would know: the objects it believes in, by name."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.objects: dict[str, dict[str, Any]] = {}

    def __call__(self, kind: str, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        self.told.append((kind, name))
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = obj

    def kinds(self, name: str) -> list[str]:
        return [kind for kind, told in self.told if told == name]


@contextlib.asynccontextmanager
async def working(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_first_list_is_complete_before_filled_is_set(
    proxied: Client, proxy: FaultProxy, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hami_operator.kube.client.PAGE", 2)
    nodes = {await world.node() for _ in range(5)}
    proxy.fault(Kind.CUT_AFTER, "GET", "/nodes", times=2)
    sink = Sink()
    reflector = Reflector(proxied, paths.NODES, sink, QUICK)
    assert not reflector.filled.is_set()
    await reflector.fill()
    assert reflector.filled.is_set()
    assert nodes <= set(sink.objects)
    assert len(reflector) == len(sink.objects)


async def test_what_the_news_missed_is_mended_and_named(client: Client, world: World) -> None:
    kept, changed, gone = await world.pod(), await world.pod(), await world.pod()
    sink = Sink()
    reflector = Reflector(client, paths.PODS, sink, QUICK)
    await reflector.fill()
    await world.annotate(paths.pod("default", changed.name), {"a": "b"})
    await world.delete_pod(gone)
    new = await world.pod()
    mended = await reflector.resync()
    assert set(mended.missed) >= {f"default/{changed.name}", f"default/{new.name}"}
    assert f"default/{kept.name}" not in mended.missed
    assert mended.ghosts == (f"default/{gone.name}",)
    assert sink.kinds(gone.name) == ["LISTED", "DELETED"]
    assert sink.kinds(kept.name) == ["LISTED"]
    assert sink.objects[changed.name]["metadata"]["annotations"] == {"a": "b"}
    assert not await reflector.resync()


async def test_older_news_that_comes_after_a_list_changes_nothing(client: Client, world: World) -> None:
    path = await world.plain({"hard": "9000"})
    sink = Sink()
    reflector = Reflector(client, path.rpartition("/")[0], sink, QUICK)
    older = await client.get(path)
    await world.annotate(path, {"hard": "100"})
    await reflector.fill()
    name = older["metadata"]["name"]
    reflector.observe("MODIFIED", older)
    assert sink.kinds(name) == ["LISTED"]
    assert sink.objects[name]["metadata"]["annotations"] == {"hard": "100"}
    reflector.observe("MODIFIED", await client.get(path))
    assert sink.kinds(name) == ["LISTED", "MODIFIED"]


async def test_a_namesake_that_no_news_told_of_takes_the_place_of_the_one_before(client: Client, world: World) -> None:
    old = await world.pod()
    sink = Sink()
    reflector = Reflector(client, paths.PODS, sink, QUICK)
    await reflector.fill()
    last_words = await world.read(old)
    await world.delete_pod(old)
    new = await world.pod(old.name)
    mended = await reflector.resync()
    assert (mended.missed, mended.ghosts) == ((f"default/{old.name}",), (f"default/{old.name}",))
    assert sink.kinds(old.name) == ["LISTED", "DELETED", "LISTED"]
    assert sink.objects[old.name]["metadata"]["uid"] == new.uid
    for kind in ("MODIFIED", "DELETED"):
        reflector.observe(kind, last_words)
    assert sink.kinds(old.name) == ["LISTED", "DELETED", "LISTED"], "late news of one that is gone"
    assert not await reflector.resync()


async def test_late_news_of_a_ghost_brings_it_not_back(client: Client, world: World) -> None:
    pod = await world.pod()
    sink = Sink()
    reflector = Reflector(client, paths.PODS, sink, QUICK)
    await reflector.fill()
    last_words = await world.read(pod)
    await world.delete_pod(pod)
    assert (await reflector.resync()).ghosts == (f"default/{pod.name}",)
    for kind in ("MODIFIED", "DELETED"):
        reflector.observe(kind, last_words)
    assert sink.kinds(pod.name) == ["LISTED", "DELETED"]


async def test_news_of_a_namesake_tells_that_the_one_before_is_gone(client: Client, world: World) -> None:
    old = await world.pod()
    sink = Sink()
    reflector = Reflector(client, paths.PODS, sink, QUICK)
    await reflector.fill()
    await world.delete_pod(old)
    new = await world.pod(old.name)
    reflector.observe("ADDED", await world.read(new))
    assert sink.kinds(old.name) == ["LISTED", "DELETED", "ADDED"]


async def test_news_that_comes_a_little_after_the_list_is_not_called_missed(client: Client, world: World) -> None:
    pod, dying = await world.pod(), await world.pod()
    sink = Sink()
    reflector = Reflector(client, paths.PODS, sink, ReflectorSettings(grace_s=1.0))
    await reflector.fill()
    last_words = await world.read(dying)
    await world.annotate(paths.pod("default", pod.name), {"a": "b"})
    await world.delete_pod(dying)
    changed = await world.read(pod)
    resync = asyncio.ensure_future(reflector.resync())
    await until(lambda: "DELETED" in sink.kinds(dying.name), "the list is read")
    assert sink.kinds(pod.name) == ["LISTED", "LISTED"]
    reflector.observe("MODIFIED", changed)
    reflector.observe("DELETED", last_words)
    mended = await resync
    assert f"default/{pod.name}" not in mended.missed
    assert f"default/{dying.name}" not in mended.ghosts


async def test_an_object_heard_of_after_the_list_was_asked_for_is_no_ghost(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    sink = Sink()
    reflector = Reflector(proxied, paths.PODS, sink, QUICK)
    await reflector.fill()
    listing = proxy.fault(Kind.HOLD, "GET", "^/api/v1/pods$")
    resync = asyncio.ensure_future(reflector.resync())
    await asyncio.wait_for(listing.hit.wait(), 10)
    metadata = {"namespace": "default", "name": "newcomer", "uid": "u-new", "resourceVersion": "999999999"}
    reflector.observe("ADDED", {"metadata": metadata})
    listing.release()
    assert "default/newcomer" not in (await resync).ghosts
    assert sink.kinds("newcomer") == ["ADDED"]
    assert (await reflector.resync()).ghosts == ("default/newcomer",)


async def test_an_object_deleted_while_the_list_is_read_does_not_come_back(
    proxied: Client, proxy: FaultProxy, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hami_operator.kube.client.PAGE", 1)
    pods = [await world.pod() for _ in range(3)]
    sink = Sink()
    reflector = Reflector(proxied, paths.PODS, sink, QUICK)
    first = proxy.fault(Kind.HOLD, "GET", "^/api/v1/pods$")
    filling = asyncio.ensure_future(reflector.fill())
    await asyncio.wait_for(first.hit.wait(), 10)
    second = proxy.fault(Kind.HOLD, "GET", "^/api/v1/pods$")
    first.release()
    await asyncio.wait_for(second.hit.wait(), 10)
    last = max(pods, key=lambda pod: pod.name)
    last_words = await world.read(last)
    await world.delete_pod(last)
    reflector.observe("DELETED", last_words)
    second.release()
    await filling
    assert sink.kinds(last.name) == ["DELETED"]


async def test_a_watcher_that_lists_anew_causes_a_resync(client: Client, world: World) -> None:
    pod, ghost = await world.pod(), await world.pod()
    reports: list[Mended] = []
    reflector = Reflector(client, paths.PODS, Sink(), QUICK)
    await reflector.fill()
    await world.delete_pod(ghost)
    async with working(reflector.keep_in_step(reports.append)):
        reflector.observe(None, await world.read(pod))
        await until(lambda: bool(reports), "a resync")
    assert reports[0].ghosts == (f"default/{ghost.name}",)


async def test_resyncs_go_on_after_one_has_failed(proxied: Client, proxy: FaultProxy, world: World) -> None:
    await world.pod()
    reports: list[Mended] = []
    settings = ReflectorSettings(resync_s=0.05, grace_s=0.01)
    reflector = Reflector(proxied, paths.PODS, Sink(), settings)
    await reflector.fill()
    proxy.fault(Kind.DROP, "GET", "^/api/v1/pods$", times=2)
    async with working(reflector.keep_in_step(reports.append)):
        await until(lambda: len(reports) >= 2, "resyncs")


async def test_objects_that_the_list_leaves_out_are_no_ghosts(client: Client, world: World) -> None:
    ended = await world.pod()
    settings = ReflectorSettings(
        grace_s=0.05,
        params={"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"},
        left_out=lambda obj: obj["status"].get("phase") in ("Succeeded", "Failed"),
    )
    sink = Sink()
    reflector = Reflector(client, paths.PODS, sink, settings)
    await reflector.fill()
    await world.set_phase(ended, "Succeeded")
    reflector.observe("MODIFIED", await world.read(ended))
    assert f"default/{ended.name}" not in (await reflector.resync()).ghosts
    assert sink.kinds(ended.name) == ["LISTED", "MODIFIED"]


async def test_a_stream_tells_everything_in_order(client: Client, world: World) -> None:
    old = await world.pod()
    sink = Sink()
    reflector = Reflector(client, paths.PODS, sink, QUICK)
    async with working(reflector.follow()):
        await asyncio.wait_for(reflector.filled.wait(), 10)
        pod = await world.pod()
        await world.annotate(paths.pod("default", pod.name), {"a": "b"})
        await world.delete_pod(pod)
        await until(lambda: "DELETED" in sink.kinds(pod.name), "the deletion is told")
    assert sink.kinds(old.name) == ["LISTED"]
    assert [sink.kinds(pod.name)[i] for i in (0, 1, -1)] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_stream_that_breaks_goes_on_where_it_was(proxied: Client, proxy: FaultProxy, world: World) -> None:
    sink = Sink()
    reflector = Reflector(proxied, paths.PODS, sink, QUICK)
    async with working(reflector.follow()):
        await asyncio.wait_for(reflector.filled.wait(), 10)
        first = await world.pod()
        await until(lambda: first.name in sink.objects, "the first pod is told")
        holding = proxy.fault(Kind.HOLD, "GET", "^/api/v1/pods$")
        proxy.cut_watches()
        await asyncio.wait_for(holding.hit.wait(), 10)
        await world.delete_pod(first)
        second = await world.pod()
        holding.release()
        await until(lambda: second.name in sink.objects, "the second pod is told")
    assert [sink.kinds(first.name)[i] for i in (0, -1)] == ["ADDED", "DELETED"]
    assert "LISTED" not in sink.kinds(first.name)
    assert proxy.count("GET", "^/api/v1/pods$") == 3


async def test_a_deletion_missed_while_the_watch_was_too_far_behind_is_told(
    proxied: Client, proxy: FaultProxy, world: World
) -> None:
    gone = await world.pod()
    sink = Sink()
    reflector = Reflector(proxied, paths.PODS, sink, QUICK)
    async with working(reflector.follow()):
        await asyncio.wait_for(reflector.filled.wait(), 10)
        await until(lambda: proxy.count("GET", "^/api/v1/pods$") == 2, "the watch is open")
        expire = proxy.fault(Kind.EXPIRE, "GET", "^/api/v1/pods$")
        listing = proxy.fault(Kind.HOLD, "GET", "^/api/v1/pods$")
        proxy.cut_watches()
        await asyncio.wait_for(expire.hit.wait(), 10)
        await asyncio.wait_for(listing.hit.wait(), 10)
        await world.delete_pod(gone)
        listing.release()
        await until(lambda: sink.kinds(gone.name) == ["LISTED", "DELETED"], "the ghost is buried")
