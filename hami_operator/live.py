"""A live cluster, read once and never written: what the command line's questions are answered from."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from hami_operator.config import Settings
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Pod, Resources
from hami_operator.core.node_fit import FOR_PEOPLE, KUBE_SCHEDULERS, OURS, Surroundings
from hami_operator.core.objects import read_claim, read_node, read_pod, read_volume
from hami_operator.core.quantity import milli, plain
from hami_operator.core.quota import CORE_KIND, OWN_KIND, read_quota
from hami_operator.kube import paths
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.kube.errors import Denied, NotFound
from hami_operator.kube.leading import host_of
from hami_operator.voice import FILTERING_SUCCEED
from hami_operator.world import Volumes


@dataclass(frozen=True, slots=True)
class Live:
    """The cluster as the operator would see it now, and all pods by (namespace, name)."""

    cluster: Cluster
    pods: dict[tuple[str, str], Pod]

    @property
    def has_kube_scheduler(self) -> bool:
        """Whether a kube-scheduler queues the pods and judges more than is known here."""
        return self.cluster.node_fit is FOR_PEOPLE


def empty_cluster(settings: Settings) -> Cluster:
    """A cluster without nodes, as the settings want its decisions."""
    profiles = settings.devices.profiles()
    reserve = Resources(cpu_milli=milli(settings.reserve.cpu), memory_bytes=plain(settings.reserve.memory))
    around, policies = Surroundings(reserve), settings.policies.values()
    node_fit = KUBE_SCHEDULERS if settings.driver == "extender" else OURS
    return Cluster(profiles, policies, Inventory(profiles), Ledger(profiles), around, node_fit=node_fit)


async def read(settings: Settings, kubeconfig: str | None) -> Live:
    """List nodes, pods and quotas, and volumes where a pod waits for some.

    Raises:
        KubeError: the cluster can't be reached, or refuses to list.
    """
    live = Live(empty_cluster(settings), {})
    cluster = live.cluster
    async with Client(await load_access(kubeconfig)) as client:
        if await _kube_scheduler_leads(client, settings):
            cluster.node_fit = FOR_PEOPLE
        async for item in _items(client, paths.NODES):
            cluster.inventory.update(read_node(item))
        async for item in _items(client, paths.PODS):
            pod = read_pod(item)
            live.pods[pod.key.namespace, pod.key.name] = pod
            cluster.ledger.observe(pod, 0.0)
        for kind, path in ((CORE_KIND, paths.RESOURCE_QUOTAS), (OWN_KIND, paths.EXTENDED_QUOTAS)):
            with contextlib.suppress(NotFound):  # our kind need not be installed
                async for item in _items(client, path):
                    cluster.quotas.put(read_quota(item, kind, cluster.quotas.keys))
        if any(pod.constraints.claims and not pod.node_name for pod in live.pods.values()):
            await _read_claims(client, cluster)
    return live


async def _kube_scheduler_leads(client: Client, settings: Settings) -> bool:
    """Whether the operator is asked by a kube-scheduler; where the settings don't tell, its lease does."""
    if "driver" in settings.model_fields_set:
        return settings.driver == "extender"
    lease: Mapping[str, Any] = {}
    with contextlib.suppress(NotFound, Denied):
        lease = await client.get(f"{paths.leases(settings.leader.namespace)}/{settings.leader.name}")
    return host_of((lease.get("spec") or {}).get("holderIdentity") or "") != ""


async def _items(
    client: Client, path: str, selected: Mapping[str, str] | None = None
) -> AsyncIterator[Mapping[str, Any]]:
    async with contextlib.aclosing(client.pages(path, selected)) as pages:
        async for page in pages:
            for item in page.items:
                yield item


async def _read_claims(client: Client, cluster: Cluster) -> None:
    """Which claims are bound, and to nodes of which kind."""
    book = Volumes()
    book.terms.update([read_volume(item) async for item in _items(client, paths.VOLUMES)])
    book.claims.update([read_claim(item) async for item in _items(client, paths.CLAIMS)])
    for key in book.claims:
        cluster.set_claim(key, book.claim(key))


async def decision_of(pod: Pod, kubeconfig: str | None) -> str:
    """The newest event that tells where the pod was placed and why; empty when it has expired, or may not be read.

    Raises:
        KubeError: the cluster can't be reached.
    """
    wanted = {"fieldSelector": f"regarding.uid={pod.key.uid},reason={FILTERING_SUCCEED}"}
    found: list[tuple[str, str]] = []
    async with Client(await load_access(kubeconfig)) as client:
        with contextlib.suppress(Denied):
            async for event in _items(client, paths.events(pod.key.namespace), wanted):
                found.append((str(event.get("eventTime") or ""), str(event.get("note", ""))))
    return max(found, default=("", ""))[1]
