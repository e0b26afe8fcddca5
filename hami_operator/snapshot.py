"""The world of a live cluster as one scenario: the objects that decisions look at, and of them what decides."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.errors import ProtocolError
from hami_operator.core.vendor import Profile
from hami_operator.kube import paths
from hami_operator.kube.client import Client
from hami_operator.kube.errors import Denied, NotFound

Json = dict[str, Any]

#: Lists that make a world, and the kind and version that the items of a list do not carry.
_LISTS = (
    (paths.NODES, "v1", "Node"),
    (paths.NAMESPACES, "v1", "Namespace"),
    ("/apis/scheduling.k8s.io/v1/priorityclasses", "scheduling.k8s.io/v1", "PriorityClass"),
    (paths.RESOURCE_QUOTAS, "v1", "ResourceQuota"),
    ("/apis/hami-operator.io/v1alpha1/extendedresourcequotas", "hami-operator.io/v1alpha1", "ExtendedResourceQuota"),
    (paths.VOLUMES, "v1", "PersistentVolume"),
    (paths.CLAIMS, "v1", "PersistentVolumeClaim"),
    (paths.PODS, "v1", "Pod"),
)

_METADATA = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "labels", "annotations")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CONTAINER = ("name", "resources", "restartPolicy", "ports", "securityContext")
_CONDITIONS = ("Ready", "Initialized", "PodScheduled")


async def read_objects(client: Client) -> tuple[list[Json], list[str]]:
    """All objects that make the world, trimmed; and the kinds that could not be listed (absent, or no right to).

    Raises:
        KubeError: nodes or pods can't be listed.
    """
    objects: list[Json] = []
    left_out = []
    for path, version, kind in _LISTS:
        try:
            async with contextlib.aclosing(client.pages(path)) as pages:
                async for page in pages:
                    objects += (trim({"apiVersion": version, "kind": kind, **item}) for item in page.items)
        except (NotFound, Denied):
            if kind in ("Node", "Pod"):
                raise
            left_out.append(kind)
    return objects, left_out


def trim(obj: Mapping[str, Any]) -> Json:
    """Of an object what decisions read: no managed fields, images, commands, environment."""
    kept = copy.deepcopy(dict(obj))
    metadata = {name: value for name, value in kept["metadata"].items() if name in _METADATA}
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(_LAST_APPLIED, None)
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    kept["metadata"] = metadata
    if kept["kind"] == "Pod":
        _trim_pod(kept)
    elif kept["kind"] == "Node":
        status = kept.get("status") or {}
        kept["status"] = {name: status[name] for name in ("allocatable", "capacity") if name in status}
        kept["status"]["conditions"] = _conditions(status)
    return kept


def _trim_pod(pod: Json) -> None:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    for name in ("containers", "initContainers"):
        if name in spec:
            spec[name] = [{key: c[key] for key in _CONTAINER if key in c} for c in spec[name]]
    volumes = [v for v in spec.get("volumes") or () if "persistentVolumeClaim" in v or "ephemeral" in v]
    spec.pop("volumes", None)
    if volumes:
        spec["volumes"] = volumes
    pod["status"] = {name: status[name] for name in ("phase", "reason") if name in status}
    pod["status"]["conditions"] = _conditions(status)


def _conditions(status: Mapping[str, Any]) -> list[Json]:
    names = ("type", "status", "reason", "message")
    found = (c for c in status.get("conditions") or () if c.get("type") in _CONDITIONS)
    return [{name: c[name] for name in names if name in c} for c in found]


# -- names -------------------------------------------------------------------------------------------------------


def anonymize(objects: Sequence[Json], profiles: Sequence[Profile], kept: frozenset[str]) -> list[Json]:
    """The same world under other names, but for those ``kept``. Their order stays, since ties are broken by it.

    Names of nodes, namespaces, pods, containers and classes, and the ids of cards, become ``node-0001`` and so on,
    wherever they stand: in annotations, locks, labels, selectors. Sentences of conditions are left out.
    """
    words = _words(objects, profiles, kept)
    names = sorted(words, key=len, reverse=True)
    pattern = (
        re.compile(rf"(?<![A-Za-z0-9_.-])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9_-])") if names else None
    )
    return [_renamed(_without_sentences(obj), words, pattern) for obj in objects]


def _without_sentences(obj: Json) -> Json:
    made = copy.deepcopy(obj)
    for condition in (made.get("status") or {}).get("conditions", ()):
        condition.pop("message", None)
    return made


def _words(objects: Iterable[Json], profiles: Sequence[Profile], kept: frozenset[str]) -> dict[str, str]:
    kinds: dict[str, set[str]] = {}
    for obj in objects:
        metadata = obj["metadata"]
        kinds.setdefault(obj["kind"], set()).add(metadata["name"])
        if "namespace" in metadata:
            kinds.setdefault("Namespace", set()).add(metadata["namespace"])
        if obj["kind"] == "Node":
            kinds.setdefault("Card", set()).update(_card_ids(metadata.get("annotations") or {}, profiles))
        if obj["kind"] == "Pod":
            kinds.setdefault("Container", set()).update(_container_names(obj))
    words: dict[str, str] = {}
    for kind, found in kinds.items():
        for number, name in enumerate(sorted(found), 1):
            if name not in kept:
                words.setdefault(name, f"{kind.lower()}-{number:05}")
    return words


def _container_names(pod: Json) -> Iterator[str]:
    for name in ("containers", "initContainers"):
        yield from (container["name"] for container in pod["spec"].get(name) or ())


def _card_ids(annotations: Mapping[str, str], profiles: Sequence[Profile]) -> Iterator[str]:
    for profile in profiles:
        text = annotations.get(profile.register_key)
        if text:
            with contextlib.suppress(ProtocolError):
                yield from (device.uuid for device in protocol.decode_devices(profile.register_key, text))


def _renamed(value: Any, words: Mapping[str, str], pattern: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return value if pattern is None else pattern.sub(lambda match: words[match[0]], value)
    if isinstance(value, dict):
        return {key: _renamed(item, words, pattern) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, words, pattern) for item in value]
    return value
