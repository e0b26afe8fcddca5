"""HAMi's metric of MIG instances. The ids of the runtime come later than the allocation, with no change of a node."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Device
from hami_operator.core.record import NodeUsage
from hami_operator.serving.instances import Instance
from hami_operator.serving.parts import PartRow, parts_of
from hami_operator.serving.pernode import PerNode
from hami_operator.serving.sight import Sight

LABELS = (
    "zone",
    "node",
    "device_uuid",
    "device_index",
    "mig_uuid",
    "profile",
    "gpu_instance_id",
    "compute_instance_id",
    "placement_start",
    "placement_size",
)

_Parts = list[tuple[Device, PartRow]]


def _held(cluster: Cluster, entry: NodeDevices, usage: NodeUsage, _: _Parts | None = None) -> _Parts:
    """The parts of a node's cards that pods have."""
    cards = ((family, device) for family, devices in entry.devices.items() for device in devices if device.parts)
    return [(device, part) for family, device in cards for part in parts_of(family, device, usage) if part.pod]


class Instances(Collector):
    """One series for each part that a pod has, of the replica that leads."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._parts = PerNode(_held)

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks nothing of a world that is not filled yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metric as of now."""
        if not self._sight.leader().leads:
            return
        told, known = self._sight.history.instances(), self._parts.now(self._sight.world.cluster)
        family = GaugeMetricFamily(
            "hami_node_gpu_mig_instance_info", "A MIG instance that a pod has, 1.", labels=LABELS
        )
        for node, parts in known.items():
            for device, part in parts:
                ids = told.get((device.uuid, part.slot), Instance())
                values = ("vGPU", node, device.uuid, device.index, ids.uuid, part.profile)
                places = (ids.gpu_instance, ids.compute_instance, part.start, part.size)
                family.add_metric([str(value) for value in (*values, *places)], 1)
        yield family
