"""Which objects of the input are used, by group and kind, and how each is named in messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hami_operator.core import fields
from hami_operator.core.errors import ObjectError

from .documents import Document, Json, Place
from .errors import ScenarioError

#: Kinds that are read, with the API group they must be of (an absent apiVersion is taken for the right one).
CLUSTER_KINDS = {
    "Node": "",
    "Namespace": "",
    "PersistentVolume": "",
    "PriorityClass": "scheduling.k8s.io",
}
NAMESPACED_KINDS = {
    "Pod": "",
    "ConfigMap": "",
    "PersistentVolumeClaim": "",
    "ResourceQuota": "",
    "ExtendedResourceQuota": "hami-operator.io",
    "Job": "batch",
    "Deployment": "apps",
    "ReplicaSet": "apps",
    "StatefulSet": "apps",
}
GROUPS = {**CLUSTER_KINDS, **NAMESPACED_KINDS}

#: What a test suite adds to a scenario: it has no name and is nobody's object.
EXPECTATION = "Expectation"


@dataclass(frozen=True, slots=True)
class Entry:
    """An object that is used: its place, kind, namespace (empty for a cluster's own kinds), name and content.

    ``asked_for``: a pod that a workload asks for and that is not there yet, so that one with a node is not bound.
    """

    place: Place
    kind: str
    namespace: str
    name: str
    content: Json
    asked_for: bool = False

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.place}: {self.kind} {name}"

    def wrong(self, field: str, value: object, allowed: str) -> str:
        """The sentence for a field that holds what it may not hold."""
        return f"{self}: {field}: {value!r} is not {allowed}"


def read_entries(documents: Iterable[Document]) -> tuple[list[Entry], Counter[str]]:
    """The objects that are used, in input order, and how many there are of each other kind.

    Raises:
        ScenarioError: an object has no kind or no name, or one of the wrong type.
    """
    entries: list[Entry] = []
    ignored: Counter[str] = Counter()
    problems: list[str] = []
    for document in documents:
        try:
            kind = _kind(document.content)
            if kind == EXPECTATION:
                ignored[kind] += 1
                continue
            entry = _entry(document, kind)
        except ObjectError as error:
            problems.append(f"{document.place}: {_label(document.content)}: {error}")
            continue
        if entry is None:
            ignored[kind] += 1
        else:
            entries.append(entry)
    if problems:
        raise ScenarioError(problems)
    return entries, ignored


def _kind(content: Json) -> str:
    kind = fields.text(content, "kind")
    if not kind:
        raise ObjectError("kind", content.get("kind"), "the kind of a Kubernetes object, such as Pod")
    return kind


def _entry(document: Document, kind: str) -> Entry | None:
    """The object named, or None where its kind is not used."""
    metadata = fields.mapping(document.content, "metadata")
    name = fields.text(metadata, "name", "metadata.")
    if not name:
        raise ObjectError("metadata.name", metadata.get("name"), "the name of an object")
    version = fields.text(document.content, "apiVersion")
    group = version.rpartition("/")[0]
    if kind not in GROUPS or (version and group != GROUPS[kind]):
        return None
    namespace = fields.text(metadata, "namespace", "metadata.") or "default"
    return Entry(document.place, kind, "" if kind in CLUSTER_KINDS else namespace, name, document.content)


def _label(content: Json) -> str:
    kind, metadata = content.get("kind"), content.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return " ".join(str(part) for part in (kind, name) if part) or "object"
