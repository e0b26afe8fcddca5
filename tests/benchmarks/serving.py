"""What looking costs: the overview as the cluster grows, and decisions while metrics are scraped every second."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator

import uvloop
from prometheus_client import CollectorRegistry

from hami_operator.config import MetricsSection
from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from hami_operator.queue import Queue
from hami_operator.serving import health
from hami_operator.serving.metrics.exposition import exposition
from hami_operator.serving.server import serve
from hami_operator.serving.sight import LeaderView, Sight
from hami_operator.serving.web.assets import environment
from hami_operator.serving.web.views.overview import overview
from hami_operator.world import World

from . import worlds
from .harness import Bench, Row, alternate, alternate_async, seconds_per_call

ROUNDS = 7
SCRAPE_NODES, SCRAPE_PODS = 1000, 20_000

#: Seconds that an arm of ``scrape`` decides: several scrapes fall into them.
ARM_SECONDS = 4.0
SCRAPE_ROUNDS = 5


def sight(cluster: Cluster) -> Sight:
    leader = LeaderView("me", leads=True)
    return Sight(World("hami-scheduler", cluster, Queue(), time.time), leader=lambda: leader)


def _page() -> Iterator[Row]:
    """The whole page from the state to HTML, while pods come and go on some of its nodes."""
    template = environment().get_template("overview.html")

    def arm(nodes: int) -> Callable[[], float]:
        looked_at = sight(worlds.cluster(nodes, nodes * worlds.CARDS * 2))
        places = itertools.count()

        def render() -> str:
            world = looked_at.world
            return template.render(model=overview(looked_at), now=world.now(), path="/", query={})

        def change() -> None:
            index = next(places)
            changed = read_pod_on(index, index % nodes)
            looked_at.world.cluster.ledger.observe(changed, 0.0)

        render()
        return lambda: seconds_per_call(render, 20, change)

    medians = alternate({"500 nodes": arm(500), "50 nodes": arm(50)}, ROUNDS)
    yield Row(
        id="page",
        what="overview at 500 nodes x 8 cards over 50 nodes, time",
        ratio=medians["500 nodes"] / medians["50 nodes"],
        arms=medians,
        rounds=ROUNDS,
        must=12,
        strive=4,
    )


def read_pod_on(index: int, node: int) -> Pod:
    """Another running pod on the first card of a node."""
    return read_pod(worlds.running_object(1_000_000 + index, node * worlds.CARDS))


class Decider:
    """Decides and reserves one pod after the other, as the loop does, with a chance for others in between."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._numbers = itertools.count()

    async def rate(self, seconds: float) -> float:
        """Pods decided a second of this process's own time; they are forgotten at the end.

        It never waits for anything, so on a machine of its own that is the time on the wall.
        """
        done: list[str] = []
        begin = time.process_time()
        while (spent := time.process_time() - begin) < seconds:
            pod = worlds.pod(next(self._numbers), gpumem=1000, gpucores=1)
            decision = schedule(pod, self._cluster, 0.0)
            if isinstance(decision, Placement):
                self._cluster.ledger.assume(pod, decision.node, decision.allocation)
                done.append(pod.key.uid)
            await asyncio.sleep(0)
        for uid in done:
            self._cluster.ledger.forget(uid)
        return len(done) / spent


#: Prometheus in a process of its own: it reads everything, once a second.
SCRAPER = """
import sys, time, urllib.request
while True:
    with urllib.request.urlopen(sys.argv[1]) as answer:
        while answer.read(1 << 20):
            pass
    time.sleep(1)
"""


@contextlib.asynccontextmanager
async def _scraped(url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRAPER, f"{url}/metrics")
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _scrape() -> Row:
    cluster = worlds.cluster(SCRAPE_NODES, SCRAPE_PODS)
    looked_at, decider = sight(cluster), Decider(cluster)
    metrics = exposition(looked_at, CollectorRegistry(), MetricsSection())
    serving = await serve(health.application(metrics.text, list), "127.0.0.1", 0)
    await decider.rate(ARM_SECONDS)

    async def scraped() -> float:
        async with _scraped(f"http://127.0.0.1:{serving.port}"):
            return await decider.rate(ARM_SECONDS)

    async def alone() -> float:
        return await decider.rate(ARM_SECONDS)

    try:
        medians = await alternate_async({"scraped": scraped, "alone": alone}, SCRAPE_ROUNDS)
    finally:
        await serving.cleanup()
    return Row(
        id="scrape",
        what="pods decided a second while metrics are scraped every second, 1 000 x 8 with 20 000 pods, over without",
        ratio=medians["scraped"] / medians["alone"],
        arms=medians,
        rounds=SCRAPE_ROUNDS,
        must=0.8,
        strive=0.95,
        more_is_better=True,
    )


def run() -> Iterator[Row]:
    yield from _page()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run(_scrape())


BENCH = Bench("serving", run)
