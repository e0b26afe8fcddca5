"""What the NVIDIA plugin injects and how it names things."""

from __future__ import annotations

import pytest

from hami_operator.core.model import Share
from hami_operator.sandbox.cards import CARD_TYPES, cards_of
from hami_operator.sandbox.plugins import HABITS, Grant

NVIDIA = HABITS["nvidia"]


def test_two_cards_give_numbered_limits_and_the_first_cards_cores() -> None:
    shares = (Share("GPU-a", "NVIDIA", 3000, 30), Share("GPU-b", "NVIDIA", 2000, 60))
    injection = NVIDIA.inject(Grant(shares, "uid-1", "main"))
    cache = injection.envs["CUDA_DEVICE_MEMORY_SHARED_CACHE"]
    assert injection.envs == {
        "NVIDIA_VISIBLE_DEVICES": "GPU-a,GPU-b",
        "CUDA_DEVICE_MEMORY_LIMIT_0": "3000m",
        "CUDA_DEVICE_MEMORY_LIMIT_1": "2000m",
        "CUDA_DEVICE_SM_LIMIT": "30",
        "CUDA_DEVICE_MEMORY_SHARED_CACHE": cache,
        "LIBCUDA_LOG_LEVEL": "1",
    }
    assert cache.startswith("/usr/local/vgpu/")
    assert cache.endswith(".cache")


def test_each_container_has_its_own_folder_of_limits() -> None:
    (share,) = (Share("GPU-a", "NVIDIA", 1, 1),)
    mounts = {m.container_path: m for m in NVIDIA.inject(Grant((share,), "uid-1", "main")).mounts}
    assert mounts["/usr/local/vgpu"].host_path == "/usr/local/vgpu/containers/uid-1_main"
    assert not mounts["/usr/local/vgpu"].read_only
    assert mounts["/usr/local/vgpu/libvgpu.so"].read_only


@pytest.mark.parametrize(("value", "preloaded"), [("true", False), ("1", False), ("false", True), ("maybe", True)])
def test_the_limiting_library_is_left_out_where_the_container_says_so(value: str, preloaded: bool) -> None:
    grant = Grant((Share("GPU-a", "NVIDIA", 1, 1),), "uid-1", "main", {"CUDA_DISABLE_CONTROL": value})
    paths = {mount.container_path for mount in NVIDIA.inject(grant).mounts}
    assert ("/etc/ld.so.preload" in paths) is preloaded


@pytest.mark.parametrize(
    ("card", "release", "text"),
    [
        ("a30", "2.7", "NVIDIA-NVIDIA A30"),
        ("a30", "2.8", "NVIDIA A30"),
        ("t4", "2.7", "NVIDIA-Tesla T4"),
        ("t4", "2.10", "NVIDIA-Tesla T4"),
    ],
)
def test_the_type_text_is_that_of_the_release(card: str, release: str, text: str) -> None:
    (made,) = cards_of("n1", CARD_TYPES[card], 1, NVIDIA.releases[release])
    assert made.type == text


def test_the_socket_is_called_after_the_resource() -> None:
    assert NVIDIA.socket == "nvidia-gpu.sock"
