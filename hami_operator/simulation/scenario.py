"""A scenario as values: the world that is, the pods that want in, and what is impossible about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hami_operator.core import fields
from hami_operator.core.errors import ObjectError
from hami_operator.core.model import Node, Pod
from hami_operator.core.node_fit import Claim
from hami_operator.core.objects import read_node, read_pod, read_terms

from .documents import Document, Json
from .entries import Entry, read_entries
from .errors import ScenarioError
from .workloads import expand

DEVICE_CONFIG = "device-config.yaml"

#: Classes that every cluster has (kubernetes pkg/apis/scheduling/types.go), and pods that name none.
NO_CLASS = ""
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


#: Kinds that others are read with.
_EARLY = ("PriorityClass", "PersistentVolume")


@dataclass(frozen=True, slots=True)
class WorldPod:
    """A pod that is bound, or over."""

    entry: Entry
    pod: Pod


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that wants in. ``priority`` is what admission makes of its class; ``created`` is None where not given."""

    entry: Entry
    pod: Pod
    priority: int
    created: float | None


@dataclass(slots=True)
class Scenario:
    """All that is read of an input. ``impossible`` are sentences about what no cluster could look like."""

    nodes: list[tuple[Entry, Node]] = field(default_factory=list)
    pods: list[WorldPod] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    quotas: list[Entry] = field(default_factory=list)
    claims: dict[tuple[str, str], Claim] = field(default_factory=dict)
    device_configs: list[Entry] = field(default_factory=list)
    priorities: dict[str, int] = field(default_factory=lambda: {NO_CLASS: 0, **SYSTEM_PRIORITIES})
    volumes: dict[str, Claim] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    impossible: list[str] = field(default_factory=list)


def read_scenario(documents: Iterable[Document]) -> Scenario:
    """Everything that is used of the objects.

    Of two objects of one kind and name the first is kept, and the second told as impossible.

    Raises:
        ScenarioError: an object without kind or name, or a field of the wrong type.
    """
    entries, ignored = read_entries(documents)
    scenario = Scenario(ignored=ignored)
    problems: list[str] = []
    for entry in sorted(_distinct(expand(entries), scenario.impossible), key=lambda entry: entry.kind not in _EARLY):
        try:
            _add(scenario, entry)
        except ObjectError as error:
            problems.append(f"{entry}: {error}")
    if problems:
        raise ScenarioError(problems)
    _distinct_uids(scenario)
    return scenario


def _distinct(entries: Iterable[Entry], impossible: list[str]) -> list[Entry]:
    first: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        known = first.setdefault((entry.kind, entry.namespace, entry.name), entry)
        if known is not entry:
            allowed = f"a name that no other {entry.kind} has, and {known.place} has it too"
            impossible.append(entry.wrong("metadata.name", entry.name, allowed))
    return list(first.values())


def _distinct_uids(scenario: Scenario) -> None:
    """Two pods of one uid are one pod for everybody who keeps accounts; pods without a uid go by their name."""
    first: dict[str, Entry] = {}
    everybody: Sequence[WorldPod | Candidate] = (*scenario.pods, *scenario.candidates)
    for item in everybody:
        known = first.setdefault(item.pod.key.uid, item.entry)
        if known is not item.entry:
            allowed = f"a uid that no other Pod has, and {known.place} has it too"
            scenario.impossible.append(item.entry.wrong("metadata.uid", item.pod.key.uid, allowed))
    kept = {id(entry) for entry in first.values()}
    scenario.pods = [item for item in scenario.pods if id(item.entry) in kept]
    scenario.candidates = [item for item in scenario.candidates if id(item.entry) in kept]


# -- one object --------------------------------------------------------------------------------------------------


def _add(scenario: Scenario, entry: Entry) -> None:
    """Put one object where it belongs. Raises ObjectError."""
    content = entry.content
    if entry.kind == "Node":
        scenario.nodes.append((entry, read_node(content)))
    elif entry.kind == "Pod":
        _add_pod(scenario, entry)
    elif entry.kind == "Namespace":
        metadata = fields.mapping(content, "metadata")
        scenario.namespaces[entry.name] = fields.text_map(metadata, "labels", "metadata.")
    elif entry.kind in ("ResourceQuota", "ExtendedResourceQuota"):
        scenario.quotas.append(entry)
    elif entry.kind == "PriorityClass":
        _add_priority(scenario, entry)
    elif entry.kind == "PersistentVolume":
        scenario.volumes[entry.name] = _volume(content)
    elif entry.kind == "PersistentVolumeClaim":
        scenario.claims[entry.namespace, entry.name] = _claim(content, scenario.volumes)
    elif DEVICE_CONFIG in fields.mapping(content, "data"):
        scenario.device_configs.append(entry)
    else:
        scenario.ignored[entry.kind] += 1


def _add_pod(scenario: Scenario, entry: Entry) -> None:
    pod = read_pod(entry.content)
    if (pod.node_name and not entry.asked_for) or pod.terminal:
        scenario.pods.append(WorldPod(entry, pod))
        return
    given = fields.mapping(entry.content, "metadata").get("creationTimestamp") is not None
    created = pod.created if given else None
    scenario.candidates.append(Candidate(entry, pod, _priority(scenario, entry, pod), created))


def _priority(scenario: Scenario, entry: Entry, pod: Pod) -> int:
    """What the API server's admission writes into a pod that names a class and no number."""
    spec = fields.mapping(entry.content, "spec")
    if spec.get("priority") is not None:
        return pod.priority
    name, known = fields.text(spec, "priorityClassName", "spec."), scenario.priorities
    if name not in known:
        allowed = f"a PriorityClass of the input or of every cluster ({', '.join(sorted(filter(None, known)))})"
        scenario.impossible.append(entry.wrong("spec.priorityClassName", name, allowed))
    return known.get(name, known[NO_CLASS])


def _add_priority(scenario: Scenario, entry: Entry) -> None:
    value = scenario.priorities[entry.name] = fields.integer(entry.content, "value")
    if fields.flag(entry.content, "globalDefault"):
        scenario.priorities[NO_CLASS] = value


def _volume(content: Json) -> Claim:
    """What a claim that is bound to this volume is: the nodes that reach the volume."""
    spec = fields.mapping(content, "spec")
    required = fields.mapping(fields.mapping(spec, "nodeAffinity", "spec."), "required", "spec.nodeAffinity.")
    return Claim(bound=True, terms=read_terms(required) if required else None)


_UNBOUND = Claim(bound=False)


def _claim(content: Json, volumes: Mapping[str, Claim]) -> Claim:
    """A claim is bound where its volume is known; without a status it counts as what its ``volumeName`` says."""
    phase = fields.text(fields.mapping(content, "status"), "phase", "status.", default="Bound")
    volume = fields.text(fields.mapping(content, "spec"), "volumeName", "spec.")
    return volumes.get(volume, _UNBOUND) if phase == "Bound" else _UNBOUND
