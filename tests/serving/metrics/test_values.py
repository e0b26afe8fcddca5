"""What the series say, and when they are made anew."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hami_operator.allocators.mig import ALLOCATIONS
from hami_operator.core import protocol
from hami_operator.core.model import Share
from hami_operator.serving.metrics.series import Gauge, labels_text
from hami_operator.serving.pernode import PerNode
from hami_operator.serving.sight import LeaderView
from tests.builders import NOW
from tests.serving.stage import REGISTER, Stage, busy, card, share

from .names import MIG_INFO
from .scrape import scrape, values

pytestmark = pytest.mark.asyncio

MIB = 1048576


async def test_memory_is_in_bytes_and_the_ratio_between_0_and_1() -> None:
    stage = Stage.empty()
    device = card("n1", 0)
    stage.node("n1", device)
    stage.running("team-a/p", "n1", share(device, 6144, 30))
    found = await scrape(stage.exposition())
    assert values(found, "hami_gpu_memory_limit_bytes") == [24576 * MIB]
    assert values(found, "hami_gpu_memory_allocated_bytes", device_cores="100") == [6144 * MIB]
    assert values(found, "hami_node_gpu_memory_allocated_ratio") == [0.25]
    assert values(found, "hami_gpu_core_allocated_ratio") == [30]
    assert values(found, "hami_vgpu_memory_allocated_bytes", namespace="team-a", pod="p") == [6144 * MIB]


async def test_a_card_without_memory_has_no_ratio_that_would_spoil_sums() -> None:
    stage = Stage.empty()
    stage.node("n1", card("n1", 0, memory_mib=0), card("n1", 1))
    found = await scrape(stage.exposition(generations=["2.7", "2.10"]))
    assert values(found, "hami_node_gpu_memory_allocated_ratio") == [0]
    assert values(found, "nodeGPUMemoryPercentage") == [0]


async def test_two_shares_of_one_card_in_one_container_are_one_series() -> None:
    stage = Stage.empty()
    device = card("n1", 0, mode="mig")
    stage.node("n1", device)
    slots = [Share(f"{device.uuid}[1-{slot}]", "NVIDIA", 5120, 14) for slot in range(2)]
    stage.running("p", "n1", *slots)
    found = await scrape(stage.exposition())
    assert values(found, "hami_vgpu_memory_allocated_bytes", device_uuid=device.uuid) == [10240 * MIB]


async def test_parts_of_a_mig_card_are_told_in_both_generations() -> None:
    stage = Stage.empty()
    device = card("n1", 0, mode="mig", type="NVIDIA-NVIDIA A30")
    stage.node("n1", device)
    stage.running("p", "n1", Share(f"{device.uuid}[1-0]", "NVIDIA", 12288, 0))
    found = await scrape(stage.exposition(generations=["2.7", "2.10"]))
    assert values(found, "hami_node_gpu_mig_instance_info", profile="2g.12gb", placement_start="0") == [1]
    assert values(found, "nodeGPUMigInstance", migname="2g.12gb-0") == [1]
    assert values(found, "nodeGPUMigInstance", migname="2g.12gb-1") == [0]
    labels = set(found["hami_node_gpu_mig_instance_info"].samples[0].labels)
    assert labels == MIG_INFO | {"zone"}


async def test_an_instance_bears_the_ids_of_the_runtime_as_soon_as_the_plugin_has_written_them() -> None:
    stage, place = Stage.empty(), {"start": 4, "size": 2}
    profiles = [{"name": "2g.10gb", "memoryMB": 9856, "core": 28, "placements": [place]}]
    device = card("n1", 0, mode="mig", custom={"migProfiles": profiles}, slots=7)
    stage.node("n1", metadata={"annotations": {REGISTER: protocol.encode_devices_json([device], "NVIDIA")}})
    part = Share(f"{device.uuid}[2g.10gb-4]", "NVIDIA", 9856, 28)
    record = {"containerIndex": 0, "deviceIndex": 0, "gpuUUID": device.uuid, "profile": "2g.10gb", "placement": place}
    made = {"migUUID": "MIG-1", "gpuInstanceID": 3, "computeInstanceID": 0}
    exposed = stage.exposition()
    for written, ids in ((record, ("", "", "")), (record | made, ("MIG-1", "3", "0"))):
        stage.running("p", "n1", part, annotations={ALLOCATIONS: json.dumps([written])})
        (sample,) = (await scrape(exposed))["hami_node_gpu_mig_instance_info"].samples
        names = ("mig_uuid", "gpu_instance_id", "compute_instance_id")
        assert tuple(sample.labels[name] for name in names) == ids
        assert (sample.labels["placement_start"], sample.labels["placement_size"]) == ("4", "2")


async def test_names_of_strangers_are_escaped() -> None:
    hostile = 'a "quoted"\\ name\nof two lines'
    line = Gauge("m", "help").line(labels_text([("device_type", hostile)]), 1)
    assert line == 'm{zone="vGPU",device_type="a \\"quoted\\"\\\\ name\\nof two lines"} 1\n'
    (family,) = text_string_to_metric_families(line)
    assert family.samples[0].labels["device_type"] == hostile


async def test_only_nodes_that_changed_are_made_anew() -> None:
    stage = busy()
    made: list[str] = []
    texts = PerNode(lambda cluster, entry, usage, before: made.append(entry.node.name))
    await texts.gently(stage.world.cluster)
    assert sorted(made) == ["a30-0", "a30-1", "a30-2", "h100-0", "t4-0"]
    made.clear()
    stage.running("late", "a30-2", share(card("a30-2", 3), 1000))
    await texts.gently(stage.world.cluster)
    assert made == ["a30-2"]


async def test_a_node_that_went_leaves_no_series() -> None:
    stage = busy()
    exposition = stage.exposition()
    assert values(await scrape(exposition), "hami_gpu_memory_limit_bytes", node="t4-0")
    stage.world.cluster.inventory.remove("t4-0")
    assert not values(await scrape(exposition), "hami_gpu_memory_limit_bytes", node="t4-0")


async def test_quotas_show_used_and_limit_of_the_tightest_object() -> None:
    stage = busy()
    stage.quota("team-b", "wide", mem=900000)
    found = await scrape(stage.exposition())
    name = {"namespace": "team-b", "quota_name": "nvidia.com/gpumem"}
    assert values(found, "hami_resource_quota_used", **name, limit="30000") == [24576]
    assert values(found, "hami_resource_quota_limit", **name) == [30000]


async def test_our_own_metrics_tell_queue_reasons_locks_and_the_age_of_news() -> None:
    stage = busy()
    found = await scrape(stage.exposition())
    assert values(found, "hami_operator_queue_pods", state="waiting") == [3]
    assert values(found, "hami_operator_pending_pods", reason="ResourceQuotaNotFit") == [2]
    assert values(found, "hami_operator_nodes", state="excluded") == [1]
    assert values(found, "hami_operator_cards", family="NVIDIA", health="unhealthy") == [1]
    assert values(found, "hami_operator_node_lock_waiting_pods") == [2]
    assert values(found, "hami_operator_node_lock_oldest_seconds") == [190]
    assert values(found, "hami_operator_watch_age_seconds", resource="nodes") == [41]
    assert stage.world.now() == NOW


async def test_a_replica_that_stands_by_tells_nothing_that_would_be_added_up_twice() -> None:
    stage = busy()
    stage.sight.leader = lambda: LeaderView("another", leads=False)
    found = await scrape(stage.exposition(generations=["2.7", "2.10"]))
    assert all(name.startswith(("hami_operator_", "hami_build_info")) for name in found)
    assert values(found, "hami_operator_queue_pods", state="waiting") == [3]
