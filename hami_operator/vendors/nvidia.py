"""NVIDIA GPUs: memory and cores of a card are shared; a count alone means the whole card for oneself.

Sources: HAMi v2.7.0 pkg/device/nvidia/device.go (mutation, requests, fit), v2.10 for the order of checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container
from hami_operator.core.request import amount, read_request, registered_devices
from hami_operator.core.vendor import Admission, Hooks, Profile, ResourceNames, SelectionKeys

SECTION = "nvidia"
KEY = "NVIDIA"

#: Operating modes a node's plugin registers (HAMi v2.7.0 pkg/device/nvidia/device.go).
MODES = ("hami-core", "mig", "mps")


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``nvidia`` section of the device configuration, as far as admission and placement read it."""

    count_name: str
    memory_name: str
    memory_percent_name: str
    core_name: str
    priority_name: str
    default_memory_mib: int
    default_cores: int
    default_count: int
    overwrite_env: bool
    core_policy: str
    runtime_class: str


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""

    def admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
        return _admit(profile, settings, container)

    return (
        Profile(
            key=KEY,
            names=ResourceNames(
                count=settings.count_name,
                memory=settings.memory_name,
                memory_percent=settings.memory_percent_name,
                cores=settings.core_name,
                priority=settings.priority_name,
            ),
            register_key="hami.io/node-nvidia-register",
            handshake_key="hami.io/node-handshake",
            to_allocate_key="hami.io/vgpu-devices-to-allocate",
            allocated_key="hami.io/vgpu-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=read_request,
            inventory_of=registered_devices,
            selection=SelectionKeys(
                use_uuid="nvidia.com/use-gpuuuid",
                nouse_uuid="nvidia.com/nouse-gpuuuid",
                use_type="nvidia.com/use-gputype",
                nouse_type="nvidia.com/nouse-gputype",
                mode="nvidia.com/vgpu-mode",
                numa_bind="nvidia.com/numa-bind",
            ),
            mode_words=MODES,
            memory_default_mib=settings.default_memory_mib or None,
            core_default=settings.default_cores,
            hooks=Hooks(admit=admit),
        ),
    )


def _admit(profile: Profile, settings: Settings, container: Container) -> Admission:
    """Default count, the exclusive default, and the environment; HAMi v2.7.0 pkg/device/nvidia MutateAdmission."""
    names = profile.names
    priority = amount(container, names.priority, 0, 1)
    count = amount(container, names.count, 0, protocol.INT32_MAX)
    memory = amount(container, names.memory, 1, protocol.INT32_MAX)
    percent = amount(container, names.memory_percent, 1, 100)
    cores = amount(container, names.cores, 0, profile.core_max)
    resources: dict[str, int] = {}
    if count == 0:
        raise InvalidRequest(f"container {container.name!r}: {names.count} is 0, allowed is an integer from 1")
    if count is None and any(value is not None for value in (memory, percent, cores)):
        if not settings.default_count:
            raise InvalidRequest(f"container {container.name!r} asks for a share of a card without {names.count}")
        count = resources[names.count] = settings.default_count
    env = [("CUDA_TASK_PRIORITY", str(priority))] if priority is not None else []
    if count is None:
        hidden = [("NVIDIA_VISIBLE_DEVICES", "none")] if settings.overwrite_env else []
        return Admission(env=(*env, *hidden))
    if cores is None and _wants_whole_card(settings, memory, percent):
        resources[names.cores] = 100
    if settings.core_policy not in ("", "default"):
        env.append(("GPU_CORE_UTILIZATION_POLICY", settings.core_policy))
    admission = Admission(claimed=True, resources=resources, env=tuple(env), runtime_class=settings.runtime_class)
    if memory and percent is not None:
        text = (
            f"container {container.name!r}: {names.memory} and {names.memory_percent} are both set; {names.memory} wins"
        )
        return replace(admission, warnings=(text,))
    return admission


def _wants_whole_card(settings: Settings, memory: int | None, percent: int | None) -> bool:
    """Nothing said about memory, or all of it: the cores are taken as well, so nobody else is on the card.

    HAMi v2.7.0 writes 100 cores even where ``defaultMemory`` makes the card shareable; here the default counts.
    """
    if percent is not None:
        return percent == 100
    return memory is None and not settings.default_memory_mib
