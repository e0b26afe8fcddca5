"""NVIDIA GPUs: memory and cores of a card are shared; a count alone means the whole card for oneself.

Sources: HAMi v2.7.0 pkg/device/nvidia/device.go (mutation, requests, fit), v2.10 for the order of checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hami_operator.allocators import links, mig
from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, Device, Node
from hami_operator.core.request import amount, read_request, registered_devices
from hami_operator.core.vendor import (
    Admission,
    Chooser,
    FitContext,
    Hooks,
    PercentNames,
    Profile,
    SelectionKeys,
)

SECTION = "nvidia"
KEY = "NVIDIA"

#: Operating modes a node's plugin registers (HAMi v2.7.0 pkg/device/nvidia/device.go).
MODES = ("hami-core", "mig", "mps")

#: Pair scores of a node's cards, written by the device plugin (HAMi v2.7.0 pkg/device/nvidia/links.go).
LINK_SCORES = "hami.io/node-nvidia-score"

#: Ours: whether a pod of several cards, with the policy ``topology-aware``, insists on NVLinks between all of them.
GPU_TOPOLOGY = "hami.io/gpu-topology"

#: A node of Volcano's device plugin: its cards are given by that plugin's protocol, and by no other beside it.
VOLCANO_REGISTER = "volcano.sh/node-vgpu-register"


SELECTION = SelectionKeys(
    use_uuid="nvidia.com/use-gpuuuid",
    nouse_uuid="nvidia.com/nouse-gpuuuid",
    use_type="nvidia.com/use-gputype",
    nouse_type="nvidia.com/nouse-gputype",
    mode="nvidia.com/vgpu-mode",
    numa_bind="nvidia.com/numa-bind",
)


@dataclass(frozen=True, slots=True)
class Settings(PercentNames):
    """The ``nvidia`` section of the device configuration, as far as admission and placement read it."""

    priority_name: str
    default_memory_mib: int
    default_cores: int
    default_count: int
    overwrite_env: bool
    core_policy: str
    runtime_class: str
    topology: str
    mig_geometries: Sequence[Mapping[str, Any]]


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=replace(settings.names(), priority=settings.priority_name),
            register_key="hami.io/node-nvidia-register",
            handshake_key="hami.io/node-handshake",
            to_allocate_key="hami.io/vgpu-devices-to-allocate",
            allocated_key="hami.io/vgpu-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=read_request,
            inventory_of=partial(_devices, mig.read_geometries(settings.mig_geometries)),
            selection=SELECTION,
            mode_words=MODES,
            memory_default_mib=settings.default_memory_mib or None,
            core_default=settings.default_cores,
            pod_keys=(GPU_TOPOLOGY,),
            node_keys=(LINK_SCORES,),
            extra_keys=(mig.ALLOCATIONS,),
            tenant_keys=(),
            part_tenants=True,
            shares_of=mig.read_parts,
            hooks=Hooks(
                admit=partial(_admit, settings),
                predicate=mig.only_in_parts,
                parts=mig.parts,
                chooser=partial(_chooser, settings),
                node_score=links.node_score,
                reach=links.reach,
                annotate=mig.annotate_parts,
            ),
        ),
    )


# -- admission ---------------------------------------------------------------------------------------------------


def _admit(settings: Settings, profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Default count, the exclusive default, and the environment; HAMi v2.7.0 pkg/device/nvidia MutateAdmission."""
    names = profile.names
    priority = amount(container, names.priority, 0, 1)
    count = amount(container, names.count, 0, protocol.INT32_MAX)
    percent = amount(container, names.memory_percent, 1, 100)
    lowest = 1 if percent is None and count != 0 else 0  # HAMi: beside a percentage, 0 MiB stands for "not given"
    memory = amount(container, names.memory, lowest, protocol.INT32_MAX) or None
    cores = amount(container, names.cores, 0, profile.core_max)
    resources: dict[str, int] = {}
    if count == 0:
        _check_nothing_asked(profile, container)
        count = None
    elif count is None and any(value is not None for value in (memory, percent, cores)):
        if not settings.default_count:
            raise InvalidRequest(f"container {container.name!r} asks for a share of a card without {names.count}")
        count = resources[names.count] = settings.default_count
    env = [("CUDA_TASK_PRIORITY", str(priority))] if priority is not None else []
    if count is None:
        hidden = [("NVIDIA_VISIBLE_DEVICES", "none")] if settings.overwrite_env else []
        return Admission(env=(*env, *hidden))
    _check_topology_word(annotations)
    if cores is None and _wants_whole_card(settings, memory, percent):
        resources[names.cores] = 100
    if settings.core_policy not in ("", "default"):
        env.append(("GPU_CORE_UTILIZATION_POLICY", settings.core_policy))
    admission = Admission(claimed=True, resources=resources, env=tuple(env), runtime_class=settings.runtime_class)
    if memory is not None and percent is not None:
        both = f"{names.memory} and {names.memory_percent} are both set"
        return replace(admission, warnings=(f"container {container.name!r}: {both}; {names.memory} is used",))
    return admission


def _check_topology_word(annotations: Mapping[str, str]) -> None:
    word = annotations.get(GPU_TOPOLOGY, "").strip()
    if word and word not in links.WORDS:
        raise InvalidRequest(f"annotation {GPU_TOPOLOGY} is {word!r}, allowed are {', '.join(links.WORDS)}")


def _check_nothing_asked(profile: Profile, container: Container) -> None:
    """A count of 0 asks for nothing, as charts tell users without GPUs to write; a part of no card is refused.

    HAMi: such a pod is taken over because the key is there (v2.7.0 pkg/device/nvidia/device.go MutateAdmission).
    """
    names = profile.names
    for name in (names.memory, names.memory_percent, names.cores):
        value = amount(container, name, 0, protocol.INT32_MAX)
        if value:
            raise InvalidRequest(
                f"container {container.name!r}: {names.count} is 0 while {name} is {value}, "
                "allowed is an integer from 1, or 0 without any of the others"
            )


def _wants_whole_card(settings: Settings, memory: int | None, percent: int | None) -> bool:
    """Nothing said about memory, or all of it: the cores are taken as well, so nobody else is on the card.

    HAMi v2.7.0 writes 100 cores even where ``defaultMemory`` makes the card shareable; here the default counts.
    """
    if percent is not None:
        return percent == 100
    return memory is None and not settings.default_memory_mib


# -- the cards ---------------------------------------------------------------------------------------------------


def _devices(known: Sequence[mig.Geometry], profile: Profile, node: Node) -> tuple[Device, ...]:
    """The registered cards, in parts where they are in MIG mode, with their links where those are known.

    HAMi: a malformed score annotation takes all cards away (v2.7.0 pkg/device/nvidia/device.go GetNodeDevices); here
    the cards stay and nothing is known of their links.
    """
    if VOLCANO_REGISTER in node.annotations:
        return ()
    devices = [mig.in_parts(profile.register_key, device, known) for device in registered_devices(profile, node)]
    return links.with_links(devices, node.annotations.get(LINK_SCORES, ""))


def _chooser(settings: Settings, context: FitContext) -> Chooser | None:
    word = context.pod.annotations.get(GPU_TOPOLOGY, "").strip()
    return links.chooser(context, word if word in links.WORDS else settings.topology)
