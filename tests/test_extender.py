"""The extender driver by itself: whom it answers, whom it makes wait, and when kube-scheduler is told to look again.

The API server and the binder are stood in for here; ``tests/cluster/extender`` has the real ones, and kube-scheduler.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from hami_operator.config import Settings
from hami_operator.core import protocol
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.quota import OWN_KIND, read_quota
from hami_operator.driver import Actors
from hami_operator.extender import LEASE_LOST, Extender, NotNow
from hami_operator.handlers.pods import on_pod_event
from hami_operator.kube import paths
from hami_operator.kube.binder import Bound, BoundElsewhere, Gone, Order, Outcome, Rejected, Why
from hami_operator.kube.client import Page
from hami_operator.kube.errors import KubeError, NotFound, NotLeading, Unanswered
from hami_operator.kube.events import Recorder
from hami_operator.kube.reflector import DELETED, Reflector, ReflectorSettings
from hami_operator.live import empty_cluster
from hami_operator.queue import Queue
from hami_operator.telemetry import Telemetry
from hami_operator.voice import Voice
from hami_operator.world import World
from tests.builders import NOW, container, device, node_object, pod_object

pytestmark = pytest.mark.asyncio

MEM = "limits.nvidia.com/gpumem"


class Server:
    """Pods by path; patches are remembered and merged."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.patches: list[str] = []
        self.trouble: list[KubeError] = []

    async def get(self, path: str) -> dict[str, Any]:
        if self.trouble:
            raise self.trouble.pop()
        if path not in self.pods:
            raise NotFound(404, "NotFound", f"{path} not found")
        return self.pods[path]

    async def pages(self, path: str, params: object) -> AsyncIterator[Page]:
        yield Page(list(self.pods.values()), "9")

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        await self.get(path)
        self.patches.append(path.rpartition("/")[2])
        self.pods[path]["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
        return self.pods[path]


class Binder:
    """Remembers orders; each waits until it is told its outcome."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self._outcomes: dict[str, asyncio.Future[Outcome | KubeError]] = {}
        self._news = asyncio.Event()

    def _outcome(self, name: str) -> asyncio.Future[Outcome | KubeError]:
        return self._outcomes.setdefault(name, asyncio.get_running_loop().create_future())

    async def bind(self, order: Order) -> Outcome:
        self.orders[order.pod.name] = order
        self._news.set()
        outcome = await self._outcome(order.pod.name)
        if isinstance(outcome, KubeError):
            raise outcome
        return outcome

    async def has(self, name: str) -> None:
        """Wait until the pod's order is here."""
        while name not in self.orders:
            self._news.clear()
            await self._news.wait()

    def ends(self, name: str, outcome: Outcome | KubeError) -> None:
        self._outcome(name).set_result(outcome)


class Stage:
    """Nodes n1 and n2 with a card of 24576 MiB each, and no pods."""

    def __init__(self) -> None:
        settings = Settings(driver="extender")
        self.world = World(settings.scheduler_name, empty_cluster(settings), Queue(), lambda: NOW)
        self.server, self.binder = Server(), Binder()
        client: Any = self.server
        binder: Any = self.binder
        self.recorder = Recorder(client)
        self.sensor = Reflector(client, paths.PODS, self._take, ReflectorSettings(grace_s=0.0))
        actors = Actors(self.world, binder, Voice(self.recorder, client), Telemetry())
        self.extender = Extender(actors, client, functools.partial(self.sensor.observe, "MODIFIED"))
        for name in ("n1", "n2"):
            self.world.cluster.inventory.update(read_node(node_object(name, [device(f"GPU-{name}")])))

    def _take(self, kind: str, obj: Mapping[str, Any]) -> None:
        on_pod_event(self.world, obj, gone=kind == DELETED)

    def create(self, name: str, mem: int, **metadata: Any) -> Pod:
        """A pod that is pending, as the API server and our sensors have it."""
        pod = self.create_unheard_of(name, mem, **metadata)
        self.sensor.observe("ADDED", self.server.pods[paths.pod("default", name)])
        return pod

    def create_unheard_of(self, name: str, mem: int, **metadata: Any) -> Pod:
        """The same, of which kube-scheduler knows already, and our sensors do not."""
        metadata = {"uid": f"uid-{name}", "resourceVersion": "7", **metadata}
        obj = self.server.pods[paths.pod("default", name)] = pod_object(
            name, container(gpu=1, mem=mem), metadata=metadata
        )
        return read_pod(obj)

    async def bind(self, pod: Pod, node: str = "n1") -> str:
        self.binder.ends(pod.key.name, Bound(node))
        return await self.extender.bind(pod.key, node)

    def holds(self, pod: Pod) -> str:
        """The node that the pod holds something of."""
        record = self.world.cluster.ledger.record(pod.key.uid)
        return record.node if record is not None else ""

    def limit(self, hard_mib: int) -> None:
        """The namespace's quota."""
        obj = {"metadata": {"name": "team", "namespace": "default"}, "spec": {"hard": {MEM: hard_mib}}}
        book = self.world.cluster.quotas
        book.put(read_quota(obj, OWN_KIND, book.keys))
        self.world.queue.wake_namespace("default")

    async def settle(self) -> None:
        """Go through all pods that are ready."""
        while (pending := self.world.queue.take(NOW)) is not None:
            self.extender.cycle(pending)
        await self.extender.drain(5)

    def end(self, pod: Pod) -> None:
        self.sensor.observe("DELETED", self.server.pods.pop(paths.pod("default", pod.key.name)))


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- questions ---------------------------------------------------------------------------------------------------


async def test_filter_names_every_fitting_node_and_reserves_nothing(stage: Stage) -> None:
    pods = [stage.create(f"p{number}", 20000) for number in range(3)]
    for pod in pods:
        assert stage.extender.filter(pod, ["n1", "n2", "n9"]).fitting == ["n1", "n2"]
    assert all(not stage.holds(pod) for pod in pods)
    assert stage.extender.filter(pods[0], ["n9"]).refused == {"n9": "node unregistered: the node is not known"}


async def test_marks_are_those_of_the_policy(stage: Stage) -> None:
    assert await stage.bind(stage.create("a", 4000), "n2") == ""
    pod = stage.create("p", 4000)
    assert stage.extender.prioritize(pod, ["n1", "n2"]) == {"n1": 0, "n2": 9}, "its lock is not back yet"
    large = stage.create("large", 99000)
    assert stage.extender.prioritize(large, ["n1", "n2"]) == {"n1": 0, "n2": 0}


async def test_a_simulation_leaves_no_trace(stage: Stage) -> None:
    pod = read_pod(pod_object("template", container(gpu=1, mem=99000)))
    found = stage.extender.try_on(pod, [read_node(node_object("t", [device("GPU-t")]))])
    assert found.refused == {"t": "NodeUnfitPod: 1/1 CardInsufficientMemory"}
    assert stage.world.diary.last(pod.key.uid) is None
    assert stage.recorder.waiting == 0


async def test_another_schedulers_pod_is_not_answered_about(stage: Stage) -> None:
    pod = read_pod(pod_object("p", container(gpu=1), schedulerName="other"))
    with pytest.raises(NotNow, match=r"spec.schedulerName .*'other': we serve 'hami-scheduler'"):
        stage.extender.filter(pod, ["n1"])


async def test_nothing_is_answered_while_the_families_are_being_changed(stage: Stage) -> None:
    pod = stage.create("p", 1000)
    stage.world.may_decide.clear()
    for question in (stage.extender.filter, stage.extender.prioritize):
        with pytest.raises(NotNow, match="configuration"):
            question(pod, ["n1"])
    with pytest.raises(NotNow, match="configuration"):
        stage.extender.preempt(pod, {"n1": []})


async def test_a_pod_that_is_bound_or_being_bound_is_not_answered_about(stage: Stage) -> None:
    pod = stage.create("p", 1000)
    binding = asyncio.ensure_future(stage.extender.bind(pod.key, "n1"))
    await stage.binder.has("p")
    with pytest.raises(NotNow, match="being bound to node n1"):
        stage.extender.filter(pod, ["n1"])
    stage.binder.ends("p", Bound("n1"))
    assert await binding == ""
    with pytest.raises(NotNow, match="on node n1 already"):
        stage.extender.filter(pod, ["n1"])


async def test_what_hami_has_decided_is_left_to_it_for_a_while(stage: Stage) -> None:
    stage.world.adopt = True
    annotations = {
        protocol.POD_NODE: "n1",
        protocol.POD_TIME: str(int(NOW)),
        "hami.io/vgpu-devices-allocated": "GPU-n1,NVIDIA,1000,0:;",
    }
    pod = stage.create("p", 1000, annotations=annotations)
    with pytest.raises(NotNow, match="another scheduler"):
        stage.extender.filter(pod, ["n1", "n2"])
    assert stage.holds(pod) == "n1"


async def test_whom_to_end_on_a_node_that_is_gone_is_no_matter(stage: Stage) -> None:
    """kube-scheduler may know a node longer than we do, or sooner."""
    holder, pod = stage.create("holder", 20000), stage.create("p", 20000)
    await stage.bind(holder)
    assert stage.extender.preempt(pod, {"n9": [holder.key.uid], "n1": [holder.key.uid]}) == ["n1"]
    assert stage.extender.preempt(pod, {"n1": []}) == []


async def test_a_pod_that_kube_scheduler_decides_about_is_not_said_to_be_bound(stage: Stage) -> None:
    pod = stage.create("p", 1000)

    def state() -> str:
        standing = stage.world.queue.standing(pod.key.uid)
        return standing.state if standing is not None else "none"

    await stage.settle()
    assert state() == "asked"
    stage.extender.filter(pod, ["n1"])
    assert state() == "asked"
    binding = asyncio.ensure_future(stage.extender.bind(pod.key, "n1"))
    await stage.binder.has("p")
    assert state() == "in_flight"
    assert stage.world.queue.counts() == {"ready": 0, "waiting": 0, "resting": 0, "in_flight": 1, "asked": 0}
    stage.binder.ends("p", Rejected(Why.LOCK_BUSY, "busy"))
    assert await binding == "busy"
    assert state() == "resting"


# -- binding -----------------------------------------------------------------------------------------------------


async def test_bind_reserves_before_it_waits_so_the_next_sees_it(stage: Stage) -> None:
    first, second = stage.create("a", 20000), stage.create("b", 20000)
    binding = asyncio.ensure_future(stage.extender.bind(first.key, "n1"))
    await stage.binder.has("a")
    answer = await stage.extender.bind(second.key, "n1")
    assert answer == "node n1 takes default/b no more: NodeUnfitPod: 1/1 CardInsufficientMemory"
    assert stage.extender.filter(second, ["n1", "n2"]).fitting == ["n2"]
    stage.binder.ends("a", Bound("n1"))
    assert await binding == ""
    assert stage.holds(first) == "n1"
    assert "a" in stage.binder.orders
    assert "b" not in stage.binder.orders


async def test_the_end_of_a_pod_that_no_news_ever_told_of_is_seen_by_the_next_list(stage: Stage) -> None:
    """kube-scheduler heard of it before us; a gap in our watch swallowed it from its beginning to its end."""
    await stage.sensor.fill()
    pod = stage.create_unheard_of("p", 20000)
    assert await stage.bind(pod) == ""
    assert stage.holds(pod) == "n1"
    del stage.server.pods[paths.pod("default", "p")]
    mended = await stage.sensor.resync()
    assert mended.ghosts == ("default/p",)
    assert stage.holds(pod) == ""


async def test_who_asks_twice_waits_for_the_same_and_another_node_is_refused(stage: Stage) -> None:
    pod = stage.create("p", 1000)
    both = [asyncio.ensure_future(stage.extender.bind(pod.key, "n1")) for _ in range(2)]
    await asyncio.sleep(0)
    assert await stage.extender.bind(pod.key, "n2") == "default/p is being bound to node n1"
    stage.binder.ends("p", Bound("n1"))
    assert await asyncio.gather(*both) == ["", ""]


async def test_who_goes_away_does_not_end_the_binding(stage: Stage) -> None:
    pod = stage.create("p", 1000)
    asking = asyncio.ensure_future(stage.extender.bind(pod.key, "n1"))
    await stage.binder.has("p")
    asking.cancel()
    stage.binder.ends("p", Bound("n1"))
    await stage.extender.drain(5)
    assert stage.holds(pod) == "n1"
    assert pod.key.uid not in stage.world.queue


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Rejected(Why.LOCK_BUSY, "node n1 has been locked within 5m0s"), "node n1 has been locked within 5m0s"),
        (Gone(), "pod default/p is gone"),
        (BoundElsewhere("n7", {"metadata": {}}), "pod default/p was bound to node n7 by somebody else"),
    ],
    ids=["busy", "gone", "elsewhere"],
)
async def test_what_was_not_bound_is_forgotten_and_said(stage: Stage, outcome: Outcome, words: str) -> None:
    pod = stage.create("p", 1000)
    stage.binder.ends("p", outcome)
    assert await stage.extender.bind(pod.key, "n1") == words
    assert stage.holds(pod) == ""
    assert stage.world.cluster.ledger.audit() == []


async def test_without_the_lease_the_reservation_is_left_to_be_fenced(stage: Stage) -> None:
    pod = stage.create("p", 1000)
    stage.binder.ends("p", NotLeading("the lease is lost"))
    assert await stage.extender.bind(pod.key, "n1") == LEASE_LOST
    assert stage.holds(pod) == "n1"


async def test_a_driver_that_meets_a_lost_lease_ends_so_that_its_reservations_are_fenced(stage: Stage) -> None:
    """Even where the lease is there again a moment later: nobody else would ever settle what is left open."""
    pod = stage.create("p", 1000)
    running = asyncio.ensure_future(stage.extender.run())
    stage.binder.ends("p", NotLeading("the lease is lost"))
    assert await stage.extender.bind(pod.key, "n1") == LEASE_LOST
    await asyncio.wait_for(running, 5)


async def test_a_driver_that_stops_tells_those_who_wait_for_it(stage: Stage) -> None:
    pod = stage.create("p", 1000)
    asking = asyncio.ensure_future(stage.extender.bind(pod.key, "n1"))
    await stage.binder.has("p")
    await stage.extender.drain(0)
    assert await asking == LEASE_LOST


async def test_the_pod_is_read_anew_before_it_is_bound(stage: Stage) -> None:
    pod = stage.create("p", 1000)
    obj = stage.server.pods[paths.pod("default", "p")]
    stage.server.trouble = [Unanswered("no answer")]
    assert await stage.extender.bind(pod.key, "n1") == "no answer"
    obj["spec"]["nodeName"] = "n1"
    assert await stage.extender.bind(pod.key, "n1") == "", "an answer that was lost is given again"
    assert await stage.extender.bind(pod.key, "n2") == "pod default/p is on node n1 already"
    del obj["spec"]["nodeName"]
    obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await stage.extender.bind(pod.key, "n1") == "pod default/p is gone"
    obj["metadata"]["uid"] = "another"
    assert await stage.extender.bind(pod.key, "n1") == "pod default/p is gone"
    assert stage.binder.orders == {}


# -- waiting pods ------------------------------------------------------------------------------------------------


async def test_kube_scheduler_is_told_when_a_pod_that_it_gave_up_would_fit(stage: Stage) -> None:
    holders = [stage.create(f"h-{name}", 20000) for name in ("n1", "n2")]
    for holder, name in zip(holders, ("n1", "n2"), strict=True):
        assert await stage.bind(holder, name) == ""
    pod = stage.create("p", 10000)
    await stage.settle()
    assert stage.server.patches == [], "kube-scheduler has not asked yet"
    assert stage.extender.filter(pod, ["n1", "n2"]).fitting == []
    await stage.settle()
    assert stage.server.patches == []
    stage.end(holders[1])
    await stage.settle()
    assert stage.server.patches == ["p"]
    retry = stage.server.pods[paths.pod("default", "p")]["metadata"]["annotations"][protocol.RETRY]
    assert retry == "2025-10-09T08:53:20.000000Z"


async def test_a_raised_quota_is_such_a_change_and_a_pod_that_fits_is_left_alone(stage: Stage) -> None:
    stage.limit(5000)
    large, small = stage.create("large", 6000), stage.create("small", 3000)
    assert stage.extender.filter(large, ["n1"]).fitting == []
    assert stage.extender.filter(small, ["n1"]).fitting == ["n1"]
    stage.limit(6000)
    await stage.settle()
    assert stage.server.patches == ["large"]


async def test_a_pod_whose_cards_are_on_nodes_that_kube_scheduler_rules_out_is_told_and_waits(stage: Stage) -> None:
    """It has a node selector for n2, say; cards of other nodes are no help, and kube-scheduler sees no quota."""

    stage.world.cluster.inventory.update(read_node(node_object("small", [device("GPU-small", memory_mib=4000)])))
    stage.limit(5000)
    pod = stage.create("p", 0)
    assert stage.extender.filter(pod, ["n2"]).fitting == []
    last = stage.world.diary.last(pod.key.uid)
    assert last is not None
    assert last.message.startswith("no available node, 1 nodes do not meet: 1 nodes ")
    assert stage.recorder.waiting == 1
    stage.world.queue.wake()
    await stage.settle()
    assert stage.server.patches == []
    stage.limit(30000)
    await stage.settle()
    assert stage.server.patches == ["p"]


async def test_a_refusal_that_holds_no_more_is_not_shown(stage: Stage) -> None:
    holders = [stage.create(f"h-{name}", 20000) for name in ("n1", "n2")]
    for holder, name in zip(holders, ("n1", "n2"), strict=True):
        await stage.bind(holder, name)
    pod = stage.create("p", 10000)
    assert stage.extender.filter(pod, ["n1"]).fitting == []
    assert stage.world.diary.last(pod.key.uid) is not None
    stage.end(holders[0])
    assert stage.extender.filter(pod, ["n1"]).fitting == ["n1"]
    assert stage.world.diary.last(pod.key.uid) is None


async def test_a_pod_that_kube_scheduler_has_heard_of_before_us_waits_as_well(stage: Stage) -> None:
    holder, other = stage.create("holder", 20000), stage.create("other", 20000)
    await stage.bind(holder, "n1")
    await stage.bind(other, "n2")
    pod = stage.create_unheard_of("p", 10000)
    assert stage.extender.filter(pod, ["n1", "n2"]).fitting == []
    stage.end(holder)
    await stage.settle()
    assert stage.server.patches == ["p"]


async def test_a_pod_that_is_found_to_be_gone_waits_no_more(stage: Stage) -> None:
    """kube-scheduler was the only one to tell of it, and no news of its end will come."""
    ghost = read_pod(pod_object("p", container(gpu=1, mem=99000), metadata={"uid": "uid-p"}))
    stage.extender.filter(ghost, ["n1", "n2"])
    stage.world.cluster.inventory.update(read_node(node_object("n3", [device("GPU-n3", memory_mib=100_000)])))
    stage.world.queue.wake()
    await stage.settle()
    assert ghost.key.uid not in stage.world.queue
    assert stage.extender.filter(ghost, ["n1"]).fitting == []
    assert ghost.key.uid not in stage.world.queue, "what kube-scheduler still believes is old news"


async def test_a_nudge_that_was_not_answered_is_given_again(stage: Stage) -> None:
    holder = stage.create("holder", 20000)
    await stage.bind(holder, "n1")
    other = stage.create("other", 20000)
    await stage.bind(other, "n2")
    pod = stage.create("p", 10000)
    stage.extender.filter(pod, ["n1", "n2"])
    stage.server.trouble = [Unanswered("no answer")]
    stage.end(holder)
    await stage.settle()
    assert stage.server.patches == []
    standing = stage.world.queue.standing(pod.key.uid)
    assert standing is not None
    assert standing.state == "resting"


async def test_a_refusal_is_told_once_and_again_when_it_changes(stage: Stage) -> None:
    pod = stage.create("p", 99000)
    for _ in range(3):
        stage.extender.filter(pod, ["n1", "n2"])
    assert stage.recorder.waiting == 1
    last = stage.world.diary.last(pod.key.uid)
    assert last is not None
    assert (last.tries, last.message) == (
        3,
        "no available node, 2 nodes do not meet: 2 nodes CardInsufficientMemory(n1,n2)",
    )
