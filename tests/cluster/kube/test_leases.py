"""Leader election on a real Lease: one leader at a time, whatever breaks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hami_operator.kube import paths
from hami_operator.kube.client import Client
from hami_operator.kube.errors import NotFound, NotLeading
from hami_operator.kube.leases import Elector, LeaseSettings
from tests.cluster.kube.conftest import until
from tests.faultproxy import FaultProxy, Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]


def lease_name() -> str:
    return f"lease-{time.time_ns():x}"


def quick(name: str, identity: str) -> LeaseSettings:
    """A lease that expires within a test."""
    return LeaseSettings("default", name, identity, duration_s=4, renew_deadline_s=1.5, retry_s=0.1)


def patient(name: str, identity: str) -> LeaseSettings:
    """A lease that does not."""
    return LeaseSettings("default", name, identity, duration_s=60, renew_deadline_s=40, retry_s=0.1)


class Work:
    """What a leader does: remembers when it began and when it was stopped."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


@contextlib.asynccontextmanager
async def standing(elector: Elector, work: Callable[[], Any]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(elector.run(work))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def soon(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 10)


async def read(client: Client, name: str) -> dict[str, Any]:
    return dict((await client.get(f"{paths.leases('default')}/{name}"))["spec"])


async def test_one_leads_and_gives_the_lease_up_on_exit(client: Client) -> None:
    name, work, told = lease_name(), Work(), list[bool]()
    elector = Elector(client, patient(name, "a"), told.append)
    async with standing(elector, work):
        await soon(work.started)
        assert elector.is_leader
        first = await read(client, name)
        assert (first["holderIdentity"], first["leaseDurationSeconds"], first["leaseTransitions"]) == ("a", 60, 0)

        async def renewed() -> bool:
            return bool((await read(client, name))["renewTime"] != first["renewTime"])

        await until(renewed, "the lease is renewed")
        assert (await read(client, name))["acquireTime"] == first["acquireTime"]
    assert work.stopped.is_set()
    assert not elector.is_leader
    assert not (await read(client, name)).get("holderIdentity")
    assert told == [True, False]


async def test_the_next_takes_over_at_once_when_the_lease_was_given_up(client: Client) -> None:
    name, first, second = lease_name(), Work(), Work()
    other = Elector(client, patient(name, "b"))
    async with standing(Elector(client, patient(name, "a")), first) as leading:
        await soon(first.started)
        async with standing(other, second):
            await until(lambda: other.leader == "a", "the second has seen the first")
            leading.cancel()
            await asyncio.wait({leading})
            assert first.stopped.is_set()
            await soon(second.started)  # long before the lease would have expired
    assert (await read(client, name))["leaseTransitions"] == 1


async def test_a_leader_that_can_not_renew_stops_before_another_starts(
    proxied: Client, proxy: FaultProxy, client: Client
) -> None:
    name, first, second = lease_name(), Work(), Work()
    cut_off, other = Elector(proxied, quick(name, "a")), Elector(client, quick(name, "b"))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(standing(cut_off, first))
        await soon(first.started)
        await stack.enter_async_context(standing(other, second))
        await until(lambda: other.leader == "a", "the second has seen the first lead")
        proxy.unreachable = True
        await soon(first.stopped)
        assert not cut_off.is_leader
        assert not second.started.is_set()
        with pytest.raises(NotLeading):
            await client.guarded(lambda: cut_off.is_leader).create(paths.NODES, {})
        await soon(second.started)
        proxy.unreachable = False
        await until(lambda: cut_off.leader == "b", "the first sees the second lead")
        assert not cut_off.is_leader
    assert (first.times, second.times) == (1, 1)


async def test_leadership_ends_by_our_own_clock_while_a_renewal_hangs(
    proxied: Client, proxy: FaultProxy, client: Client
) -> None:
    name, work = lease_name(), Work()
    elector = Elector(proxied, quick(name, "a"))
    async with standing(elector, work):
        await soon(work.started)
        proxy.fault(Kind.HOLD, "*", "/leases/", times=None)
        await until(lambda: not elector.is_leader, "leadership ends")
        await soon(work.stopped)
        proxy.clear()


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.CUT_AFTER, Kind.STATUS, Kind.STATUS_AFTER])
async def test_an_answer_that_is_lost_costs_neither_the_election_nor_the_lease(
    proxied: Client, proxy: FaultProxy, kind: Kind
) -> None:
    name, work = lease_name(), Work()
    creation = proxy.fault(kind, "POST", "/leases")
    async with standing(Elector(proxied, patient(name, "a")), work):
        await soon(work.started)
        assert creation.hits == 1
        renewal = proxy.fault(kind, "PUT", f"/leases/{name}", times=2)
        await until(lambda: renewal.hits == 2, "two renewals were hit")
        before = proxy.count("PUT", name)
        await until(lambda: proxy.count("PUT", name) >= before + 2, "it is renewed on")
        assert work.times == 1
        assert not work.stopped.is_set()


async def test_a_lease_that_somebody_took_is_lost_at_once(client: Client) -> None:
    name, work = lease_name(), Work()
    elector = Elector(client, patient(name, "a"))
    async with standing(elector, work):
        await soon(work.started)
        await client.merge_patch(f"{paths.leases('default')}/{name}", {"spec": {"holderIdentity": "thief"}})
        await soon(work.stopped)
        assert not elector.is_leader
        assert elector.leader == "thief"


async def test_a_dead_leaders_lease_is_taken_when_it_has_stood_still_for_its_duration(client: Client) -> None:
    name, work = lease_name(), Work()
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": "2099-01-01T00:00:00.000000Z"}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
    await client.create(paths.leases("default"), body)
    began = time.monotonic()
    async with standing(Elector(client, patient(name, "a")), work):
        await soon(work.started)
    assert time.monotonic() - began >= 1


async def test_the_end_of_the_work_ends_the_run_and_its_error_is_told(client: Client) -> None:
    name = lease_name()

    async def broken() -> None:
        raise NotFound(404, "NotFound", "what it needs is not there")

    with pytest.raises(NotFound):
        await asyncio.wait_for(Elector(client, patient(name, "a")).run(broken), 10)
    assert not (await read(client, name)).get("holderIdentity")


async def test_work_that_notices_the_loss_first_is_no_failure(client: Client) -> None:
    name, times = lease_name(), 0

    async def work() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise NotLeading("PATCH: the lease is lost")

    await asyncio.wait_for(Elector(client, patient(name, "a")).run(work), 10)
    assert times == 2
