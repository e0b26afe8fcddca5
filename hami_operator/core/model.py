"""The values everything else is made of. Frozen, slotted, units in the names; none of them knows an API client."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Device:
    """What a card is, as its node reports it.

    ``slots`` is how many containers may share it; ``cores`` is in the family's unit (NVIDIA: percent points, 100 is
    one whole card without scaling); ``type`` is the model text; ``custom`` holds the family's own facts.
    ``parts`` is into how many hard partitions it can be cut at the most, if it is given in such alone (0: it is not).
    """

    uuid: str
    index: int
    slots: int
    memory_mib: int
    cores: int
    type: str
    numa: int = 0
    healthy: bool = True
    mode: str = ""
    custom: Mapping[str, object] = field(default_factory=dict, hash=False)
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What one container gets of one card. ``kind`` is the type field of the wire record (normally the family key)."""

    uuid: str
    kind: str
    memory_mib: int
    cores: int

    @property
    def card(self) -> str:
        """The uuid of the physical card: a share of a card that is cut carries its place in brackets behind it."""
        return self.uuid.partition("[")[0]

    @property
    def place(self) -> str:
        """Which part of a card that is cut, as ``plan-position``; empty for a share of a card that is not."""
        return self.uuid.partition("[")[2].removesuffix("]")


@dataclass(frozen=True, slots=True)
class Allocation:
    """A pod's shares: per family one list per container position (init containers first, then app containers).

    Every family's list has exactly one entry per container position; a container without cards has an empty one.
    """

    families: Mapping[str, tuple[tuple[Share, ...], ...]] = field(default_factory=dict, hash=False)

    def shares(self) -> Iterator[tuple[str, int, Share]]:
        """All shares as (family, container position, share), families and cards in wire order."""
        for family, positions in self.families.items():
            for position, shares in enumerate(positions):
                for share in shares:
                    yield family, position, share

    def __bool__(self) -> bool:
        return any(True for _ in self.shares())


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """What one container asks of one family, per device; None means not given.

    ``cores`` is in the family's unit. ``memory_mib`` wins over ``memory_percent`` where both are given. ``slices`` is
    the size of a hard partition, for families whose cards are cut into such.
    """

    count: int
    memory_mib: int | None = None
    memory_percent: int | None = None
    cores: int | None = None
    slices: int | None = None


class ContainerKind(enum.Enum):
    """How long a container lives: until the next starts, beside all later ones, or with the pod."""

    INIT = "init"
    SIDECAR = "sidecar"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Container:
    """A container as far as we read it. ``limits`` and ``requests`` are quantity texts as the API gives them."""

    name: str
    kind: ContainerKind = ContainerKind.APP
    limits: Mapping[str, str] = field(default_factory=dict, hash=False)
    requests: Mapping[str, str] = field(default_factory=dict, hash=False)
    privileged: bool = False
    env: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of a pod; empty key with operator Exists tolerates everything, empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a node selector term: key, operator (In, NotIn, Exists, DoesNotExist, Gt, Lt), values."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SelectorTerm:
    """A node selector term: all its expressions and fields must hold. An empty term matches no node."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A label selector of pods: all labels and expressions must hold. An empty one matches every pod."""

    labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class AntiAffinity:
    """A required anti-affinity term: no matching pod of these namespaces in the same domain of ``topology_key``."""

    selector: LabelSelector | None
    namespaces: frozenset[str]
    topology_key: str


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a pod demands of a node beside resources. ``unsupported`` names fields that ``node_fit`` can't judge."""

    node_selector: tuple[tuple[str, str], ...] = ()
    affinity_terms: tuple[SelectorTerm, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    host_ports: frozenset[tuple[str, str, int]] = frozenset()
    claims: tuple[str, ...] = ()
    anti_affinity: tuple[AntiAffinity, ...] = ()
    gates: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """Amounts of the resources Kubernetes itself counts; ``extended`` by full name in plain numbers."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    ephemeral_bytes: int = 0
    pods: int = 0
    extended: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PodKey:
    """Which pod: namespace, name and uid (a re-created pod of the same name is another pod)."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Traits(NamedTuple):
    """What the scopes of quotas tell pods apart by. ``terminating``: it has an ``activeDeadlineSeconds``."""

    priority_class: str = ""
    terminating: bool = False
    best_effort: bool = False


PLAIN = Traits()

Rank = tuple[int, float, str]


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as far as we read it.

    ``created`` is unix seconds; ``init_done``: all plain init containers have ended; ``unscheduled``: (reason, message)
    of its condition ``PodScheduled=False``.
    """

    key: PodKey
    resource_version: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    containers: tuple[Container, ...] = ()
    constraints: Constraints = Constraints()
    resources: Resources = Resources()
    node_name: str = ""
    phase: str = "Pending"
    scheduler_name: str = "default-scheduler"
    priority: int = 0
    created: float = 0.0
    deleting: bool = False
    init_done: bool = False
    status_reason: str = ""
    unscheduled: tuple[str, str] | None = None
    owner_uid: str = ""
    traits: Traits = PLAIN

    @property
    def rank(self) -> Rank:
        """Its place among those that wait, the first the least: priority descending, then age, then name."""
        return -self.priority, self.created, str(self.key)

    @property
    def terminal(self) -> bool:
        """Succeeded or Failed: its containers run no more, so it holds nothing."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Node:
    """A node as far as we read it. ``allocatable`` is None where the object has no such status: nothing is known."""

    name: str
    uid: str = ""
    resource_version: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    allocatable: Resources | None = None
    capacity: Resources = Resources()
