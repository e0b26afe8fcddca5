"""The kubelet's device plugin API v1beta1, from descriptors made at run time: no generated code.

Source: Kubernetes staging/src/k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/api.proto.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

VERSION = "v1beta1"
SOCKETS = "/var/lib/kubelet/device-plugins"
KUBELET_SOCKET = f"{SOCKETS}/kubelet.sock"

HEALTHY, UNHEALTHY = "Healthy", "Unhealthy"

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}

#: Message -> its fields as "type name" in order of their numbers; ``*`` repeats, ``map`` is string -> string.
_MESSAGES = {
    "Empty": (),
    "DevicePluginOptions": ("bool pre_start_required", "bool get_preferred_allocation_available"),
    "RegisterRequest": ("string version", "string endpoint", "string resource_name", "DevicePluginOptions options"),
    "NUMANode": ("int64 ID",),
    "TopologyInfo": ("*NUMANode nodes",),
    "Device": ("string ID", "string health", "TopologyInfo topology"),
    "ListAndWatchResponse": ("*Device devices",),
    "ContainerAllocateRequest": ("*string devices_ids",),
    "AllocateRequest": ("*ContainerAllocateRequest container_requests",),
    "Mount": ("string container_path", "string host_path", "bool read_only"),
    "DeviceSpec": ("string container_path", "string host_path", "string permissions"),
    "CDIDevice": ("string name",),
    "ContainerAllocateResponse": (
        "map envs",
        "*Mount mounts",
        "*DeviceSpec devices",
        "map annotations",
        "*CDIDevice cdi_devices",
    ),
    "AllocateResponse": ("*ContainerAllocateResponse container_responses",),
    "ContainerPreferredAllocationRequest": (
        "*string available_deviceIDs",
        "*string must_include_deviceIDs",
        "int32 allocation_size",
    ),
    "PreferredAllocationRequest": ("*ContainerPreferredAllocationRequest container_requests",),
    "ContainerPreferredAllocationResponse": ("*string deviceIDs",),
    "PreferredAllocationResponse": ("*ContainerPreferredAllocationResponse container_responses",),
    "PreStartContainerRequest": ("*string devices_ids",),
    "PreStartContainerResponse": (),
}


def _describe(file: descriptor_pb2.FileDescriptorProto, message: str, fields: tuple[str, ...]) -> None:
    described = file.message_type.add(name=message)
    for number, text in enumerate(fields, start=1):
        kind, name = text.split(" ")
        repeated = kind.startswith("*") or kind == "map"
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        field = described.field.add(name=name, number=number, label=label)
        kind = kind.removeprefix("*")
        if kind == "map":
            entry = described.nested_type.add(name=name.title().replace("_", "") + "Entry")
            entry.options.map_entry = True
            for at, part in enumerate(("key", "value"), start=1):
                entry.field.add(name=part, number=at, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{VERSION}.{message}.{entry.name}"
        elif kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{VERSION}.{kind}"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="deviceplugin.proto", package=VERSION, syntax="proto3")
    for message, fields in _MESSAGES.items():
        _describe(file, message, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{VERSION}.{name}")) for name in _MESSAGES
    }


#: The message classes by name.
MESSAGES = _classes()

Handler = Callable[[Any, Any], Awaitable[Any]]
Stream = Callable[[Any, Any], AsyncIterator[Any]]


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def service(options: Handler, list_and_watch: Stream, allocate: Handler) -> grpc.GenericRpcHandler:
    """The DevicePlugin service of a plugin that wants neither preferred allocation nor a call before start."""

    def unary(handler: Handler, request: str) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(handler, MESSAGES[request].FromString, _serialize)

    handlers = {
        "GetDevicePluginOptions": unary(options, "Empty"),
        "ListAndWatch": grpc.unary_stream_rpc_method_handler(list_and_watch, MESSAGES["Empty"].FromString, _serialize),
        "Allocate": unary(allocate, "AllocateRequest"),
    }
    return grpc.method_handlers_generic_handler(f"{VERSION}.DevicePlugin", handlers)


async def register(endpoint: str, resource: str, deadline_s: float) -> None:
    """Tell the kubelet of this mount namespace about a plugin. Raises grpc.RpcError when it does not take it."""
    request = MESSAGES["RegisterRequest"](
        version=VERSION, endpoint=endpoint, resource_name=resource, options=MESSAGES["DevicePluginOptions"]()
    )
    async with grpc.aio.insecure_channel(f"unix://{KUBELET_SOCKET}") as channel:
        call = channel.unary_unary(
            f"/{VERSION}.Registration/Register", request_serializer=_serialize, response_deserializer=bytes
        )
        await call(request, timeout=deadline_s)
