"""Our handler over a no-op on the same TLS stack: latency of single reviews, at 1 and at 16 connections.

Both servers are processes of their own (aiohttp, uvloop, the same certificate); the no-op gives the least that an API
server takes for an answer. The client writes ready-made requests to kept connections and reads answers by length, so
little of the figures is its own. Pods come as workloads make them: replicas of a template that the server never saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvloop

from tests.webhook.pods import container, pod
from tests.webhook.test_review import review
from webhook.certs import AUTHORITIES, Lifetimes, renew
from webhook.configuration import PATH
from webhook.install import export

from .harness import ROUNDS, Bench, Row

CONNECTIONS = (1, 16)
REPLICAS = 16
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: {{length}}\r\n\r\n"
REVIEWS = {1: 1_500, 16: 4_800}

Samples = dict[str, dict[int, list[float]]]


_templates = itertools.count()


def sample_pod(template: int, replica: int) -> dict[str, object]:
    """A pod as a training job makes it: about 4 KiB of review."""
    env = [{"name": f"SETTING_{i}", "value": "x" * 20} for i in range(10)]
    mounts = [{"name": f"v{i}", "mountPath": f"/mnt/{i}"} for i in range(4)]
    managed = [{"manager": "kubectl", "operation": "Update", "fieldsV1": {f"f:{i}": {".": {}} for i in range(60)}}]
    metadata = {"name": f"train-{replica}", "labels": {"index": str(replica)}, "annotations": {"job": str(template)}}
    return pod(
        container(limits={"gpu": 1, "mem": 3000, "cpu": 4, "memory": "16Gi"}, env=env, volumeMounts=mounts),
        container("log", limits={"cpu": 1}),
        metadata={**metadata, "managedFields": managed},
        volumes=[{"name": f"v{i}", "emptyDir": {}} for i in range(4)],
        tolerations=[{"key": "gpu", "operator": "Exists"}],
    )


def run() -> Iterator[Row]:
    samples = uvloop.run(measure(ROUNDS))
    for name, percent in (("webhook-p50", 50), ("webhook-p99", 99)):
        arms = {
            f"{server}, {count} connections": percentile(samples[server][count], percent)
            for server in samples
            for count in CONNECTIONS
        }
        ratios = [arms[f"handler, {count} connections"] / arms[f"no-op, {count} connections"] for count in CONNECTIONS]
        what = (
            f"{percent}th percentile of a review over a no-op on the same TLS stack, the worse of 1 and 16 connections"
        )
        yield Row(name, what, max(ratios), arms, ROUNDS, must=1.5, strive=1.2)


BENCH = Bench("webhook", run)


async def measure(rounds: int) -> Samples:
    """Latencies in seconds by server and number of connections, the arms taking turns."""
    samples: Samples = {server: {count: [] for count in CONNECTIONS} for server in ("handler", "no-op")}
    with tempfile.TemporaryDirectory() as folder:
        data = renew({}, b"", ["127.0.0.1"], datetime.datetime.now(datetime.UTC), Lifetimes())
        assert data is not None
        export(data, Path(folder))
        tls = ssl.create_default_context(cadata=data[AUTHORITIES].decode())
        async with served("handler", folder) as handler, served("no-op", folder) as noop:
            ports = {"handler": handler, "no-op": noop}
            for _ in range(rounds):
                for count in CONNECTIONS:
                    for server, port in ports.items():
                        samples[server][count] += await latencies(port, tls, count)
    return samples


async def latencies(port: int, tls: ssl.SSLContext, connections: int) -> list[float]:
    """Each connection sends its share of reviews, one after the other."""
    waiting = requests(REVIEWS[connections])
    taken: list[float] = []

    async def talk() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        while waiting:
            request = waiting.pop()
            begin = time.perf_counter()
            writer.write(request)
            await answer(reader)
            taken.append(time.perf_counter() - begin)
        writer.close()

    await asyncio.gather(*(talk() for _ in range(connections)))
    return taken[20 * connections :]


def requests(count: int) -> list[bytes]:
    """Ready-made requests: groups of replicas, each of a template that was never sent before."""
    made = []
    for _ in range(0, count, REPLICAS):
        template = next(_templates)
        for replica in range(REPLICAS):
            body = json.dumps(review(object=sample_pod(template, replica))).encode()
            made.append(HEAD.format(length=len(body)).encode() + body)
    return made


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return await reader.readexactly(length)


@contextlib.asynccontextmanager
async def served(server: str, folder: str) -> AsyncIterator[int]:
    """One of the servers in a process of its own; its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.webhook_server", server, folder), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield int(await asyncio.wait_for(process.stdout.readline(), 30))
    finally:
        process.terminate()
        await process.wait()


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]
