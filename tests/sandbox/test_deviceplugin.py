"""The device plugin API's messages on the wire."""

from __future__ import annotations

from hami_operator.sandbox.deviceplugin import MESSAGES


def test_a_registration_has_the_bytes_of_the_kubelets_own_code() -> None:
    options = MESSAGES["DevicePluginOptions"](get_preferred_allocation_available=True)
    request = MESSAGES["RegisterRequest"](
        version="v1beta1", endpoint="nvidia-gpu.sock", resource_name="nvidia.com/gpu", options=options
    )
    expected = "0a0776316265746131120f6e76696469612d6770752e736f636b1a0e6e76696469612e636f6d2f67707522021001"
    assert request.SerializeToString().hex() == expected


def test_an_answer_with_environment_and_mounts_comes_back_whole() -> None:
    mount = MESSAGES["Mount"](container_path="/a", host_path="/b", read_only=True)
    container = MESSAGES["ContainerAllocateResponse"](envs={"A": "1", "B": "2"}, mounts=[mount])
    answer = MESSAGES["AllocateResponse"](container_responses=[container])
    read = MESSAGES["AllocateResponse"].FromString(answer.SerializeToString()).container_responses[0]
    assert dict(read.envs) == {"A": "1", "B": "2"}
    assert (read.mounts[0].container_path, read.mounts[0].host_path, read.mounts[0].read_only) == ("/a", "/b", True)
