"""A live cluster, read once and never written: what the command line's questions are answered from."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from hami_operator.config import Settings
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Pod, Resources
from hami_operator.core.node_fit import Surroundings
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.quantity import milli, plain
from hami_operator.core.quota import CORE_KIND, OWN_KIND, read_quota
from hami_operator.kube import paths
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.kube.errors import Denied, NotFound
from hami_operator.voice import FILTERING_SUCCEED


@dataclass(frozen=True, slots=True)
class Live:
    """The cluster as the operator would see it now, and all pods by (namespace, name)."""

    cluster: Cluster
    pods: dict[tuple[str, str], Pod]


def empty_cluster(settings: Settings) -> Cluster:
    """A cluster without nodes, as the settings want its decisions."""
    profiles = settings.devices.profiles()
    reserve = Resources(cpu_milli=milli(settings.reserve.cpu), memory_bytes=plain(settings.reserve.memory))
    around = Surroundings(reserve)
    return Cluster(profiles, settings.policies.values(), Inventory(profiles), Ledger(profiles), around)


async def read(settings: Settings, kubeconfig: str | None) -> Live:
    """List nodes, pods and quotas.

    Raises:
        KubeError: the cluster can't be reached, or refuses to list.
    """
    live = Live(empty_cluster(settings), {})
    async with Client(await load_access(kubeconfig)) as client:
        async with contextlib.aclosing(client.pages(paths.NODES)) as pages:
            async for page in pages:
                for item in page.items:
                    live.cluster.inventory.update(read_node(item))
        async with contextlib.aclosing(client.pages(paths.PODS)) as pages:
            async for page in pages:
                for item in page.items:
                    pod = read_pod(item)
                    live.pods[pod.key.namespace, pod.key.name] = pod
                    live.cluster.ledger.observe(pod, 0.0)
        for kind, path in ((CORE_KIND, paths.RESOURCE_QUOTAS), (OWN_KIND, paths.EXTENDED_QUOTAS)):
            with contextlib.suppress(NotFound):  # our kind need not be installed
                async with contextlib.aclosing(client.pages(path)) as pages:
                    async for page in pages:
                        for item in page.items:
                            live.cluster.quotas.put(read_quota(item, kind, live.cluster.quotas.keys))
    return live


async def decision_of(pod: Pod, kubeconfig: str | None) -> str:
    """The newest event that tells where the pod was placed and why; empty when it has expired, or may not be read.

    Raises:
        KubeError: the cluster can't be reached.
    """
    wanted = {"fieldSelector": f"regarding.uid={pod.key.uid},reason={FILTERING_SUCCEED}"}
    found: list[tuple[str, str]] = []
    async with Client(await load_access(kubeconfig)) as client:
        with contextlib.suppress(Denied):
            async with contextlib.aclosing(client.pages(paths.events(pod.key.namespace), wanted)) as pages:
                async for page in pages:
                    found += ((str(event.get("eventTime") or ""), str(event.get("note", ""))) for event in page.items)
    return max(found, default=("", ""))[1]
