"""Names and label sets as HAMi documents them, and what its dashboards and HAMi-WebUI ask for. Facts, not our code."""

from __future__ import annotations

CARD = {"node", "device_uuid", "device_index", "device_type"}
SHARE = {"namespace", "node", "pod", "container_index", "device_uuid"}

#: HAMi v2.10.
CURRENT: dict[str, set[str]] = {
    "hami_gpu_memory_limit_bytes": CARD,
    "hami_gpu_core_limit_ratio": CARD,
    "hami_gpu_memory_allocated_bytes": CARD | {"device_cores"},
    "hami_gpu_shared_count": CARD,
    "hami_gpu_core_allocated_ratio": CARD,
    "hami_node_gpu_overview": CARD | {"device_cores", "device_memory_limit"},
    "hami_node_gpu_memory_allocated_ratio": CARD,
    "hami_vgpu_memory_allocated_bytes": SHARE,
    "hami_vgpu_core_allocated_ratio": SHARE,
    "hami_resource_quota_used": {"namespace", "quota_name", "limit"},
    "hami_resource_quota_limit": {"namespace", "quota_name"},
}

#: Only of cards in MIG mode.
MIG_INFO = {"node", "device_uuid", "device_index", "mig_uuid", "profile", "gpu_instance_id", "compute_instance_id"}
MIG_INFO |= {"placement_start", "placement_size"}

OLD_CARD = {"nodeid", "deviceuuid", "deviceidx"}
OLD_SHARE = {"podnamespace", "nodename", "podname", "containeridx", "deviceuuid"}

#: HAMi v2.7 (``devicetype`` of the overview is in all its versions).
LEGACY: dict[str, set[str]] = {
    "GPUDeviceMemoryLimit": OLD_CARD,
    "GPUDeviceCoreLimit": OLD_CARD,
    "GPUDeviceMemoryAllocated": OLD_CARD | {"devicecores"},
    "GPUDeviceSharedNum": OLD_CARD,
    "GPUDeviceCoreAllocated": OLD_CARD,
    "nodeGPUOverview": OLD_CARD | {"devicecores", "sharedcontainers", "devicememorylimit", "devicetype"},
    "nodeGPUMemoryPercentage": OLD_CARD,
    "vGPUPodsDeviceAllocated": OLD_SHARE | {"deprecated_version", "deviceusedcore"},
    "vGPUMemoryPercentage": OLD_SHARE | {"deprecated_version"},
    "vGPUCorePercentage": OLD_SHARE | {"deprecated_version"},
    "vGPUMemoryAllocated": OLD_SHARE,
    "vGPUCoreAllocated": OLD_SHARE,
    "QuotaUsed": {"quotanamespace", "quotaName", "limit"},
}

#: Labels of 2.7 whose values change with every allocation.
CHANGING = {"sharedcontainers", "deviceusedcore"}

#: What the shipped dashboards select, group and join by, of the scheduler's metrics.
DASHBOARDS: dict[str, dict[str, set[str]]] = {
    "2.7": {
        "nodeGPUOverview": {"nodeid", "deviceuuid"},
        "vGPUCorePercentage": {"nodename", "deviceuuid"},
        "vGPUMemoryPercentage": {"nodename", "deviceuuid"},
    },
    "2.10": {
        "hami_gpu_memory_limit_bytes": {"node", "device_uuid"},
        "hami_gpu_memory_allocated_bytes": {"node", "device_uuid"},
        "hami_gpu_shared_count": {"node", "device_uuid"},
        "hami_gpu_core_allocated_ratio": {"node", "device_uuid"},
        "hami_node_gpu_memory_allocated_ratio": {"node", "device_uuid"},
    },
}

#: Exported by HAMi-WebUI 1.2 itself, whose pages add them up without naming a job.
WEBUI_OWN = frozenset(
    [
        "hami_vcore_scaling",
        "hami_vmemory_scaling",
        "hami_vgpu_count",
        "hami_vmemory_size",
        "hami_vcore_size",
        "hami_memory_used",
        "hami_memory_size",
        "hami_memory_util",
        "hami_core_size",
        "hami_core_used",
        "hami_core_util",
        "hami_core_used_avg",
        "hami_core_util_avg",
        "hami_device_temperature",
        "hami_device_memory_temperature",
        "hami_device_power",
        "hami_device_hardware_health",
        "hami_device_fan_speed_p",
        "hami_device_fan_speed_r",
        "hami_container_vgpu_allocated",
        "hami_container_vmemory_allocated",
        "hami_container_vcore_allocated",
        "hami_container_memory_used",
        "hami_container_memory_util",
        "hami_container_core_used",
        "hami_container_core_util",
        "hami_pool_vgpu_count",
        "hami_pool_vmemory_size",
        "hami_pool_vcore_size",
        "hami_system_component_health",
    ]
)
