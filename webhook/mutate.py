"""A pod that is being created -> what to change in it, or why it is refused. Pure: the families are handed in.

Rules: HAMi v2.7.0 pkg/scheduler/webhook.go with its faults left out. Operations stand only for what changes, and
what is patched once is right: a second call with the patched pod answers with no operation.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hami_operator.core import fields, protocol, request
from hami_operator.core.errors import InvalidRequest, ObjectError
from hami_operator.core.model import Container, ContainerKind
from hami_operator.core.objects import read_containers
from hami_operator.core.quantity import parse_quantity
from hami_operator.core.vendor import Admission, Profile

from .catalogue import Catalogue

#: All annotations of an object together (apimachinery pkg/api/validation/objectmeta.go, TotalAnnotationSizeLimitB).
ANNOTATIONS_LIMIT_BYTES = 262_144
#: Of these, what an allocation may need at the bind.
RESERVED_BYTES = 32_768

DEFAULT_SCHEDULER = "default-scheduler"

_KEYS_NAMED = 4
_KEY_SHOWN = 80


class Privileged(enum.StrEnum):
    """What becomes of a privileged container that asks for cards: it sees all of its node's, whatever its share."""

    DENY = "deny"
    WARN = "warn"


class SharedLock(enum.StrEnum):
    """What becomes of a pod of two families under one node lock: the second plugin may find no lock and fail it."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator of a cluster may choose about admission.

    ``overwrite_default_scheduler``: pods that name ``default-scheduler`` (the API server writes it where none is named)
    are taken over as well; without it users name ``scheduler_name`` themselves.
    """

    scheduler_name: str
    overwrite_default_scheduler: bool
    privileged: Privileged
    shared_lock: SharedLock = SharedLock.ALLOW


@dataclass(frozen=True, slots=True)
class Patch:
    """The pod is admitted: JSON patch operations (RFC 6902; none when nothing changes) and sentences for its user."""

    operations: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The pod can never work as it is written; the message says why and what is allowed."""

    message: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """One container as it stands in the pod, and what the families make of it that it concerns."""

    container: Container
    raw: Mapping[str, Any]
    path: str
    admissions: dict[Profile, Admission]

    @property
    def claimed(self) -> bool:
        return any(admission.claimed for admission in self.admissions.values())

    def claimed_by(self, profile: Profile) -> bool:
        return profile in self.admissions and self.admissions[profile].claimed


def mutate_pod(pod: Mapping[str, Any], catalogue: Catalogue, settings: Settings) -> Patch | Refusal:
    """Judge a Pod object (decoded JSON) on its way to being created."""
    try:
        return _mutate(pod, catalogue, settings)
    except (InvalidRequest, ObjectError) as error:
        return Refusal(str(error))


def _mutate(pod: Mapping[str, Any], catalogue: Catalogue, settings: Settings) -> Patch | Refusal:
    metadata, spec = fields.mapping(pod, "metadata"), fields.mapping(pod, "spec")
    annotations = fields.text_map(metadata, "annotations", "metadata.")
    containers = read_containers(spec)
    if not any(container.kind is ContainerKind.APP for container in containers):
        return Refusal("pod has no containers")
    stripped, kept = _strip(metadata, annotations, catalogue)
    if _left_alone(fields.text(spec, "schedulerName", "spec."), settings):
        return stripped
    asked = _ask(spec, containers, catalogue, kept)
    operations = [*stripped.operations, *(op for entry in asked for op in _container_operations(entry))]
    # HAMi ignores amounts given as annotations without a word (#2862).
    ignored = (f"annotation {name} has no effect: write it under resources.limits" for name in catalogue.named_in(kept))
    warnings = [*stripped.warnings, *ignored]
    if any(entry.claimed for entry in asked):
        answers = [admission for entry in asked for admission in entry.admissions.values()]
        added = {key: value for answer in answers for key, value in answer.annotations.items()}
        added = {key: value for key, value in added.items() if key not in kept}
        warnings += _check(spec, asked, {**kept, **added}, catalogue, settings)
        operations += _pod_operations(spec, asked, settings)
        operations += _annotation_operations(metadata, added)
    return Patch(tuple(operations), tuple(warnings))


def _left_alone(scheduler: str, settings: Settings) -> bool:
    """HAMi: a pod that names HAMi's own scheduler was left unmutated (v2.7.0 webhook.go, fixed by #1627)."""
    if scheduler in ("", settings.scheduler_name):
        return False
    return scheduler != DEFAULT_SCHEDULER or not settings.overwrite_default_scheduler


def _strip(
    metadata: Mapping[str, Any], annotations: Mapping[str, str], catalogue: Catalogue
) -> tuple[Patch, dict[str, str]]:
    """Take away what only the scheduler may say (HAMi believes it: #3041, #3074, #3075); the annotations that stay."""
    removed = [key for key in annotations if catalogue.writes(key)]
    operations = [{"op": "remove", "path": _path("metadata", "annotations", key)} for key in removed]
    warnings = [f"annotation {_shown(key)} was removed: only the scheduler writes it" for key in removed[:_KEYS_NAMED]]
    if len(removed) > _KEYS_NAMED:
        warnings.append(f"{len(removed) - _KEYS_NAMED} more annotations that only the scheduler writes were removed")
    if protocol.POD_NODE in fields.mapping(metadata, "labels", "metadata."):
        operations.append({"op": "remove", "path": _path("metadata", "labels", protocol.POD_NODE)})
        warnings.append(f"label {_shown(protocol.POD_NODE)} was removed: only the scheduler writes it")
    kept = {key: value for key, value in annotations.items() if key not in set(removed)}
    return Patch(tuple(operations), tuple(warnings)), kept


def _ask(
    spec: Mapping[str, Any], containers: Sequence[Container], catalogue: Catalogue, annotations: Mapping[str, str]
) -> list[_Asked]:
    """Containers that concern a family, with what it says; init containers first. Raises InvalidRequest."""
    places = (
        (f"/spec/{name}/{position}", raw)
        for name in ("initContainers", "containers")
        for position, raw in enumerate(fields.items(spec, name, "spec."))
    )
    return [
        _Asked(container, raw, path, admissions)
        for container, (path, raw) in zip(containers, places, strict=True)
        if (admissions := catalogue.admissions(container, annotations))
    ]


# -- what is refused, or told ------------------------------------------------------------------------------------


def _check(
    spec: Mapping[str, Any],
    asked: Sequence[_Asked],
    annotations: Mapping[str, str],
    catalogue: Catalogue,
    settings: Settings,
) -> list[str]:
    """The pod as a whole, once it is known to be ours: its warnings. Raises InvalidRequest."""
    node = fields.text(spec, "nodeName", "spec.")
    if node:
        first = next(entry for entry in asked if entry.claimed)
        raise InvalidRequest(
            f"pod has node assigned: spec.nodeName is {node!r} while {_named(first, catalogue)}; allowed is none, "
            f"since {settings.scheduler_name} chooses node and cards together"
        )
    _check_words(annotations, catalogue)
    _check_size(annotations)
    warnings = [text for entry in asked for admission in entry.admissions.values() for text in admission.warnings]
    for profile in catalogue.limited:
        request.check_one_name(profile, [entry.container for entry in asked])
        claimed = [entry.container.name for entry in asked if entry.claimed_by(profile)]
        warnings += request.several_containers(profile, claimed)
    if settings.shared_lock is SharedLock.DENY:
        request.check_locks([(e.container.name, p) for e in asked for p in e.admissions if e.claimed_by(p)])
    for entry in asked:
        if entry.container.privileged and entry.claimed:
            text = f"{_named(entry, catalogue)} and is privileged: it would see every card of its node"
            if settings.privileged is Privileged.DENY:
                raise InvalidRequest(f"{text}; allowed is securityContext.privileged false")
            warnings.append(text)
    return warnings


def _named(entry: _Asked, catalogue: Catalogue) -> str:
    """``container 'main' asks for nvidia.com/gpu 1``."""
    amounts = {**entry.container.requests, **entry.container.limits}
    named = (f"{name} {amounts[name]}" for name in catalogue.named_in(amounts))
    return f"container {entry.container.name!r} asks for {next(named, 'cards')}"


def _check_words(annotations: Mapping[str, str], catalogue: Catalogue) -> None:
    request.read_card_policy(annotations, "")
    request.read_node_policy(annotations, "")
    for key, allowed in catalogue.modes:
        for word in protocol.split_list(annotations.get(key, "")):
            if word not in allowed:
                raise InvalidRequest(f"annotation {key} has {word!r}, allowed are {', '.join(allowed)}")


def _check_size(annotations: Mapping[str, str]) -> None:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    allowed = ANNOTATIONS_LIMIT_BYTES - RESERVED_BYTES
    if size > allowed:
        raise InvalidRequest(
            f"the pod's annotations hold {size} bytes, allowed are {allowed} for a pod that asks for cards "
            f"({RESERVED_BYTES} are kept for the allocation)"
        )


# -- what is changed ---------------------------------------------------------------------------------------------


def _container_operations(entry: _Asked) -> Iterable[Mapping[str, Any]]:
    amounts = {name: value for a in entry.admissions.values() for name, value in a.resources.items()}
    if amounts and entry.raw.get("resources") is None:
        texts = {name: str(value) for name, value in amounts.items()}
        yield _add(f"{entry.path}/resources", {"limits": texts, "requests": texts})
    elif amounts:
        yield from _amount_operations(f"{entry.path}/resources/limits", entry, "limits", amounts)
        yield from _amount_operations(f"{entry.path}/resources/requests", entry, "requests", amounts)
    env = dict(
        pair for a in reversed(entry.admissions.values()) for pair in a.env if pair[0] not in entry.container.env
    )
    values = [{"name": name, "value": value} for name, value in env.items()]
    if values and not entry.raw.get("env"):
        yield _add(f"{entry.path}/env", values)
    else:
        yield from (_add(f"{entry.path}/env/-", value) for value in values)


def _amount_operations(
    path: str, entry: _Asked, section: str, amounts: Mapping[str, int]
) -> Iterable[Mapping[str, Any]]:
    """The amounts that a section of the container's resources lacks, or holds in another height."""
    present = entry.container.limits if section == "limits" else entry.container.requests
    texts = {name: str(value) for name, value in amounts.items() if not _equal(present.get(name), value)}
    if texts and entry.raw["resources"].get(section) is None:
        yield _add(path, texts)
    else:
        yield from (_add(f"{path}/{_escape(name)}", text) for name, text in texts.items())


def _equal(text: str | None, value: int) -> bool:
    try:
        return text is not None and parse_quantity(text).value == value
    except ValueError:
        return False


def _pod_operations(
    spec: Mapping[str, Any], asked: Sequence[_Asked], settings: Settings
) -> Iterable[Mapping[str, Any]]:
    if spec.get("schedulerName") != settings.scheduler_name:
        yield _add("/spec/schedulerName", settings.scheduler_name)
    classes = (a.runtime_class for entry in asked for a in entry.admissions.values() if a.claimed and a.runtime_class)
    runtime_class = next(classes, "")
    if runtime_class and spec.get("runtimeClassName") is None:
        yield _add("/spec/runtimeClassName", runtime_class)


def _annotation_operations(metadata: Mapping[str, Any], added: Mapping[str, str]) -> Iterable[Mapping[str, Any]]:
    if added and metadata.get("annotations") is None:
        yield _add("/metadata/annotations", dict(added))
    else:
        yield from (_add(_path("metadata", "annotations", key), value) for key, value in added.items())


def _add(path: str, value: Any) -> Mapping[str, Any]:
    return {"op": "add", "path": path, "value": value}


def _path(*parts: str) -> str:
    return "".join(f"/{_escape(part)}" for part in parts)


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _shown(key: str) -> str:
    return repr(key if len(key) <= _KEY_SHOWN else f"{key[:_KEY_SHOWN]}...")
