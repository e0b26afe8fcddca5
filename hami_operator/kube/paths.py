"""URL paths of the API, and which resource a path is about (the label in metrics)."""

from __future__ import annotations

from urllib.parse import quote

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"
NAMESPACES = "/api/v1/namespaces"
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
RESOURCE_QUOTAS = "/api/v1/resourcequotas"
EXTENDED_QUOTAS = "/apis/hami-operator.io/v1alpha1/extendedresourcequotas"
VERSION = "/version"


def node(name: str) -> str:
    """One node."""
    return f"{NODES}/{quote(name, safe='')}"


def pod(namespace: str, name: str) -> str:
    """One pod; its subresources stand behind it (``/binding``, ``/status``)."""
    return f"{NAMESPACES}/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"


def extended_quota(namespace: str, name: str) -> str:
    """One ExtendedResourceQuota; its status stands behind it (``/status``)."""
    root, kind = EXTENDED_QUOTAS.rsplit("/", 1)
    return f"{root}/namespaces/{quote(namespace, safe='')}/{kind}/{quote(name, safe='')}"


def events(namespace: str) -> str:
    """The events.k8s.io/v1 events of a namespace."""
    return f"/apis/events.k8s.io/v1/namespaces/{quote(namespace, safe='')}/events"


def leases(namespace: str) -> str:
    """The leases of a namespace."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"


def resource(path: str) -> str:
    """``/api/v1/namespaces/a/pods/b/binding`` -> ``pods/binding``: no names, so that metrics stay few."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else parts
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    return "/".join(parts[:1] + parts[2:3])
