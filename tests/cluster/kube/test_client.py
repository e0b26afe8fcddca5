"""The client against the real API server, and against one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from hami_operator.core.protocol import NODE_LOCK
from hami_operator.kube import paths
from hami_operator.kube.client import Client, Exchange, Timeouts, server_version
from hami_operator.kube.errors import Conflict, Denied, Expired, Invalid, NotFound, NotLeading, Unanswered
from tests.cluster.kube.conftest import World
from tests.faultproxy import FaultProxy, Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]


async def _write(path: Path, text: str) -> None:
    await asyncio.to_thread(path.write_text, text)


KEY = "/metadata/annotations/hami.io~1mutex.lock"


async def test_the_server_tells_its_version(client: Client) -> None:
    assert await server_version(client) >= (1, 30)


async def test_a_list_comes_in_pages_of_one_moment(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hami_operator.kube.client.PAGE", 2)
    names = {await world.node() for _ in range(5)}
    pages = [page async for page in client.pages(paths.NODES)]
    listed = [item["metadata"]["name"] for page in pages for item in page.items]
    assert names <= set(listed)
    assert len(listed) == len(set(listed))
    assert len(pages) >= 3
    assert len({page.resource_version for page in pages}) == 1


async def test_a_watch_tells_what_happens_after_a_list(client: Client, world: World) -> None:
    version = [page.resource_version async for page in client.pages(paths.NODES)][-1]
    name = await world.node()
    await world.annotate(paths.node(name), {"a": "x" * 200_000})
    seen: list[tuple[str, int]] = []
    async with contextlib.aclosing(client.watch(paths.NODES, version)) as events:
        async for kind, obj in events:
            if obj["metadata"].get("name") == name:
                seen.append((kind, len(obj["metadata"].get("annotations", {}).get("a", ""))))
            if seen and seen[-1][1]:
                break
    assert (seen[0], seen[-1]) == (("ADDED", 0), ("MODIFIED", 200_000))


async def test_a_watch_whose_version_is_too_old_is_expired(proxied: Client, proxy: FaultProxy) -> None:
    proxy.fault(Kind.EXPIRE, "GET", "/nodes")
    proxy.fault(Kind.STATUS, "GET", "/nodes", status=410)
    for _ in range(2):
        with pytest.raises(Expired):
            async for _ in proxied.watch(paths.NODES, "1"):
                pass


async def test_a_list_whose_continue_token_is_too_old_is_expired(
    proxied: Client, proxy: FaultProxy, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hami_operator.kube.client.PAGE", 1)
    for _ in range(2):
        await world.node()
    pages = proxied.pages(paths.NODES)
    await anext(pages)
    proxy.fault(Kind.STATUS, "GET", "/nodes", status=410)
    with pytest.raises(Expired):
        await anext(pages)


async def test_refusals_are_told_apart(client: Client, world: World) -> None:
    node = await world.node({"a": "b"})
    with pytest.raises(NotFound):
        await client.get(paths.node("none-such"))
    with pytest.raises(Conflict) as exists:
        await client.create(paths.NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    assert exists.value.exists
    with pytest.raises(Conflict) as stale:
        await client.merge_patch(paths.node(node), {"metadata": {"resourceVersion": "1", "annotations": {"c": "d"}}})
    assert not stale.value.exists
    with pytest.raises(Invalid) as failed:
        await client.json_patch(paths.node(node), [{"op": "test", "path": KEY, "value": "x"}])
    assert failed.value.test_failed
    with pytest.raises(Invalid) as invalid:
        await client.merge_patch(paths.node(node), {"metadata": {"annotations": {"bad key": "x"}}})
    assert not invalid.value.test_failed


ABSENT = [
    ({"a": "b"}, [{"op": "test", "path": KEY, "value": None}], True),
    ({"a": "b", NODE_LOCK: "x"}, [{"op": "test", "path": KEY, "value": None}], False),
    ({}, [{"op": "test", "path": KEY, "value": None}], False),
    ({}, [{"op": "test", "path": "/metadata/annotations", "value": None}], True),
    ({"a": "b"}, [{"op": "test", "path": "/metadata/annotations", "value": None}], False),
]


@pytest.mark.parametrize(("annotations", "operations", "holds"), ABSENT)
async def test_a_test_for_null_holds_for_an_absent_key_but_not_below_an_absent_map(
    client: Client, world: World, annotations: dict[str, str], operations: list[dict[str, Any]], holds: bool
) -> None:
    attempt = client.json_patch(await world.plain(annotations), operations)
    if holds:
        await attempt
    else:
        with pytest.raises(Invalid) as failed:
            await attempt
        assert failed.value.test_failed


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.CUT_AFTER])
async def test_a_cut_connection_is_no_answer(proxied: Client, proxy: FaultProxy, kind: Kind) -> None:
    proxy.fault(kind, "GET", "/version")
    with pytest.raises(Unanswered, match="GET /version: no answer"):
        await proxied.get("/version")
    assert await server_version(proxied) >= (1, 30)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 302])
async def test_an_answer_that_does_not_say_what_happened_is_none(
    proxied: Client, proxy: FaultProxy, status: int
) -> None:
    proxy.fault(Kind.STATUS, "GET", "/version", status=status)
    with pytest.raises(Unanswered, match=str(status)):
        await proxied.get("/version")


async def test_too_many_requests_says_when_to_come_again(proxied: Client, proxy: FaultProxy) -> None:
    proxy.fault(Kind.STATUS, "GET", "/version", status=429, headers={"Retry-After": "7"})
    with pytest.raises(Unanswered) as error:
        await proxied.get("/version")
    assert error.value.retry_after == 7


async def test_a_server_that_keeps_silent_is_not_waited_for_for_ever(proxied: Client, proxy: FaultProxy) -> None:
    impatient = Client(proxied.access, Timeouts(answer=0.2, silence=0.2))
    proxy.fault(Kind.HOLD, "GET", "/", times=2)
    async with impatient:
        with pytest.raises(Unanswered):
            await impatient.get("/version")
        with pytest.raises(Unanswered):
            await anext(impatient.watch(paths.NODES, "0"))


async def test_a_watch_whose_connection_breaks_is_unanswered(proxied: Client, proxy: FaultProxy, world: World) -> None:
    version = [page.resource_version async for page in proxied.pages(paths.NODES)][-1]
    name = await world.node()

    async def watch() -> None:
        async for _, obj in proxied.watch(paths.NODES, version):
            if obj["metadata"].get("name") == name:
                proxy.cut_watches()

    with pytest.raises(Unanswered):
        await watch()


async def test_a_write_without_the_lease_is_not_sent(proxied: Client, proxy: FaultProxy, world: World) -> None:
    path = await world.plain({})
    leading = True
    guarded = proxied.guarded(lambda: leading)
    await guarded.merge_patch(path, {"metadata": {"annotations": {"a": "b"}}})
    leading = False
    before = proxy.writes()
    with pytest.raises(NotLeading):
        await guarded.merge_patch(path, {"metadata": {"annotations": {"a": "c"}}})
    assert proxy.writes() == before
    assert (await guarded.get(path))["metadata"]["annotations"] == {"a": "b"}


async def test_credentials_are_read_again_when_the_server_does_not_know_us(proxied: Client, proxy: FaultProxy) -> None:
    proxy.fault(Kind.STATUS, "GET", "/version", status=401)
    assert await server_version(proxied) >= (1, 30)
    proxy.fault(Kind.STATUS, "GET", "/version", times=2, status=401)
    with pytest.raises(Denied):
        await proxied.get("/version")


async def test_credentials_that_can_not_be_read_again_are_a_matter_of_time(
    proxied: Client, proxy: FaultProxy, proxied_kubeconfig: Path
) -> None:
    good = await asyncio.to_thread(proxied_kubeconfig.read_text)
    await _write(proxied_kubeconfig, "")
    proxy.fault(Kind.STATUS, "GET", "/version", status=401)
    with pytest.raises(Unanswered, match="no usable kubeconfig"):
        await proxied.get("/version")
    await _write(proxied_kubeconfig, good)
    assert await server_version(proxied) >= (1, 30)


async def test_every_request_is_observed_with_its_resource_and_answer(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Exchange] = []
    monkeypatch.setattr(client, "_observe", seen.append)
    node = await world.node()
    await client.get(paths.node(node))
    with pytest.raises(NotFound):
        await client.get(paths.pod("default", "none-such") + "/status")
    assert [(e.method, e.resource, e.status) for e in seen] == [("GET", "nodes", 200), ("GET", "pods/status", 404)]
    assert all(e.seconds > 0 for e in seen)
