"""Bindings while etcd stands still: nobody knows what became of them, and every one is decided rightly in the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import EPOCH, NODE_LOCK, OWN_ALLOCATION
from hami_operator.kube.access import load_access
from hami_operator.kube.binder import Binder, Bound, Order, Outcome, Rejected
from hami_operator.kube.client import Client, Exchange, Timeouts
from hami_operator.kube.nodelock import NodeLocks
from hami_operator.sandbox import Sandbox
from hami_operator.sandbox.processes import marked
from tests.cluster.kube.conftest import World, until

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

PODS = 12


def _etcd(sandbox: Sandbox) -> int:
    """The pid of the sandbox's etcd."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in marked(sandbox.folder)}
    (pid,) = [pid for pid, words in commands.items() if Path(words[0].decode()).name == "etcd"]
    return pid


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def settled(world: World, order: Order, outcome: Outcome) -> tuple[bool, bool, bool]:
    """Whether the outcome, the pod and the node's lock say that the pod is bound."""
    pod = await world.read(order.pod)
    bound = pod["spec"].get("nodeName") == order.node
    assert (OWN_ALLOCATION in pod["metadata"]["annotations"]) is bound
    return isinstance(outcome, Bound), bound, (await world.lock(order.node) is not None) if order.locks else bound


@pytest.mark.parametrize("lock", [False, True])
async def test_every_binding_under_way_while_etcd_is_paused_ends_as_the_api_server_has_it(
    sandbox: Sandbox, world: World, lock: bool
) -> None:
    unanswered: list[Exchange] = []

    def observe(exchange: Exchange) -> None:
        if exchange.status == 0:
            unanswered.append(exchange)

    async def order() -> Order:
        pod: PodKey = await world.pod(annotations={"users": "own"})
        node = await world.node({"some": "thing"})
        version = (await world.read(pod))["metadata"]["resourceVersion"]
        return Order(pod, version, node, {OWN_ALLOCATION: "{}"}, locks=(NODE_LOCK,) if lock else ())

    orders = [await order() for _ in range(PODS)]
    impatient = Timeouts(connect=1.0, answer=0.3)
    async with Client(await load_access(str(sandbox.kubeconfig)), impatient, observe) as client:
        binder = Binder(client, NodeLocks(client), (1, 37), lambda _: None, lock_patience_s=60)
        with paused(_etcd(sandbox)):
            binding = [asyncio.ensure_future(binder.bind(order)) for order in orders]
            await until(lambda: len(unanswered) >= 2 * PODS, "all requests are without an answer, fences too")
            assert not any(task.done() for task in binding)
        outcomes = await asyncio.wait_for(asyncio.gather(*binding), 60)

    assert all(isinstance(outcome, Bound | Rejected) for outcome in outcomes)
    states = [await settled(world, order, outcome) for order, outcome in zip(orders, outcomes, strict=True)]
    assert all(len(set(state)) == 1 for state in states)
    if not lock:
        fenced = [(await world.read(order.pod))["metadata"]["annotations"].get(EPOCH) for order in orders]
        assert all(fenced)
