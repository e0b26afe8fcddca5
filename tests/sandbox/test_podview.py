"""What kubelet and plugins read of a pod."""

from __future__ import annotations

from typing import Any

from hami_operator.sandbox.podview import device_ids_held, device_requests, init_done, limit, requests

RESOURCE = "nvidia.com/gpu"


def named(name: str, count: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "resources": {"limits": {RESOURCE: str(count)}}, **more}


POD: dict[str, Any] = {
    "metadata": {},
    "spec": {
        "initContainers": [named("prep", 3), named("proxy", 1, restartPolicy="Always")],
        "containers": [named("main", 1), {"name": "log"}],
    },
}


def test_device_ids_are_asked_for_in_the_kubelets_order_and_lent_by_init_containers() -> None:
    assert [(place.container, count) for place, count in device_requests(POD, RESOURCE)] == [
        ("prep", 3),
        ("proxy", 1),
        ("main", 1),
    ]
    assert device_ids_held(POD, RESOURCE) == 3


def test_several_resources_are_asked_for_container_by_container() -> None:
    pod = {
        "spec": {
            "containers": [
                {"name": "x", "resources": {"limits": {"a": "1", "b": "2"}}},
                {"name": "y", "resources": {"limits": {"b": "3"}}},
            ]
        }
    }
    asked = [(place.container, resource, count) for place, resource, count in requests(pod, ("b", "a"))]
    assert asked == [("x", "b", 2), ("x", "a", 1), ("y", "b", 3)]


def test_init_containers_are_done_when_each_has_ended() -> None:
    pod: dict[str, Any] = {"spec": {"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "x"}]}}
    assert not init_done(pod)
    pod["status"] = {"initContainerStatuses": [{"name": "i", "state": {"terminated": {}}}]}
    assert not init_done(pod)
    pod["status"]["initContainerStatuses"].append({"name": "j", "state": {"terminated": {}}})
    assert init_done(pod)


def test_a_limit_is_read_as_the_api_server_writes_it() -> None:
    assert [limit({"resources": {"limits": {"a": text}}}, "a") for text in ("3", "6k", "1e3")] == [3, 6000, 1000]
    assert limit({}, "a") == 0
