"""HAMi's NVIDIA device plugin (pkg/device-plugin/nvidiadevice, pkg/device/nvidia), in its mode hami-core."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

from hami_operator.core.model import Share
from hami_operator.core.protocol import parse_bool

from . import lists
from .habits import Desk, Grant, Handshake, Injection, Mount, Release, by_uuid, register

_RELEASES = (
    Release("2.7", json_register=False, keeps_empty=False, handshake=Handshake.ALWAYS, more_word="GPU"),
    Release("2.8", json_register=True, keeps_empty=False, handshake=Handshake.ON_CHANGE, more_word="GPU"),
    Release("2.9", json_register=True, keeps_empty=True, handshake=Handshake.ON_CHANGE, more_word="GPU"),
    Release(
        "2.10",
        json_register=True,
        keeps_empty=True,
        handshake=Handshake.NEVER,
        more_word="NVIDIA",
        takes_success=True,
    ),
)

#: Where the plugin keeps the limiting library on the host (HOOK_PATH of the chart, with the folder it adds).
_HOOKS = "/usr/local/vgpu"


#: Pair scores (HAMi v2.10.0 pkg/device-plugin/nvidiadevice/nvinternal/rm): host bridge or other CPU, and 100 a link.
SCORE_KEY = "hami.io/node-nvidia-score"
_SAME_SOCKET, _OTHER_SOCKET = 20, 10
_LINKS = {"A100-SXM4": 12, "H100 80GB HBM3": 18}


def _publish(desk: Desk) -> dict[str, str]:
    """The register and, as with ENABLE_TOPOLOGY_SCORE, how well each pair of cards is linked.

    HAMi: releases before 2.10 see no links behind an NVSwitch.
    """
    links = max((n for word, n in _LINKS.items() if word in desk.cards[0].type), default=0)
    over = 100 * links if desk.release.name == "2.10" else 0
    scores = [
        {
            "uuid": card.uuid,
            "score": {
                other.uuid: over + (_SAME_SOCKET if other.numa == card.numa else _OTHER_SOCKET)
                for other in desk.cards
                if other is not card
            },
        }
        for card in desk.cards
    ]
    return register(desk) | {SCORE_KEY: json.dumps(scores, separators=(",", ":"))}


def _type_text(product: str, release: Release) -> str:
    """HAMi: 2.7 always puts ``NVIDIA-`` before the product name; later only where it does not begin with NVIDIA."""
    return product if release.json_register and product.startswith("NVIDIA") else f"NVIDIA-{product}"


def limits(shares: Sequence[Share]) -> dict[str, str]:
    """What HAMi's limiting library reads: the cards, and how much of them.

    Memory limits are numbered in the order of the annotation; the core limit is the first card's, for all of them.
    """
    envs = {"NVIDIA_VISIBLE_DEVICES": ",".join(share.uuid for share in shares)}
    envs |= {f"CUDA_DEVICE_MEMORY_LIMIT_{i}": f"{share.memory_mib}m" for i, share in enumerate(shares)}
    return envs | {"CUDA_DEVICE_SM_LIMIT": str(shares[0].cores)}


def _inject(grant: Grant) -> Injection:
    """HAMi v2.7.0 pkg/device-plugin/nvidiadevice/nvinternal/plugin/server.go, Allocate."""
    cache = uuid.uuid5(uuid.NAMESPACE_OID, f"{grant.pod_uid}/{grant.container}")
    envs = limits(grant.shares)
    envs["CUDA_DEVICE_MEMORY_SHARED_CACHE"] = f"{_HOOKS}/{cache}.cache"
    envs["LIBCUDA_LOG_LEVEL"] = "1"
    mounts = [
        Mount(f"{_HOOKS}/libvgpu.so", f"{_HOOKS}/libvgpu.so"),
        Mount(_HOOKS, f"{_HOOKS}/containers/{grant.pod_uid}_{grant.container}", read_only=False),
        Mount("/tmp/vgpulock", "/tmp/vgpulock", read_only=False),
    ]
    if parse_bool(grant.env.get("CUDA_DISABLE_CONTROL", "false")) is not True:
        mounts.append(Mount("/etc/ld.so.preload", f"{_HOOKS}/ld.so.preload"))
    return Injection(envs, tuple(mounts))


HABITS = lists.habits(
    family="NVIDIA",
    resource="nvidia.com/gpu",
    register_key="hami.io/node-nvidia-register",
    handshake_key="hami.io/node-handshake",
    to_allocate_key="hami.io/vgpu-devices-to-allocate",
    allocated_key="hami.io/vgpu-devices-allocated",
    mode="hami-core",
    publish=_publish,
    releases={release.name: release for release in _RELEASES},
    card_id=by_uuid("GPU-"),
    type_text=_type_text,
    inject=_inject,
)
