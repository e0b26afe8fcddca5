"""What a family of accelerators is: a declarative profile, and at most ten hooks for what is special about it.

The fields, the hooks and the letters of the checks are those of the design's vendor matrix. Everything has a default;
a plain family is a table of names. The engine (``allocate``) never asks which family it works on. What a vendor file
needs of ``fit`` and ``hooks`` is had here too.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from . import protocol
from .fit import (
    NOTHING,
    Amounts,
    CardPolicy,
    CardState,
    Charge,
    Chooser,
    FitContext,
    Grant,
    Outlook,
    Selection,
    Tenant,
    Witness,
    added,
    larger,
)
from .hooks import (
    Admission,
    Hooks,
    admit_as_is,
    annotate_lists,
    charge_as_asked,
    charge_nothing,
    charge_whole,
    greedy,
    no_reach,
    no_score,
    one_card,
    pass_card,
    pass_node,
    plain_share,
    read_shares,
)
from .model import Container, Device, DeviceRequest, Node, Pod, Share
from .quantity import BINARY_SUFFIXES

__all__ = [
    "GENERIC_CHECKS",
    "NOTHING",
    "WHOLE_CHECKS",
    "Admission",
    "Amounts",
    "CardPolicy",
    "CardState",
    "Charge",
    "Check",
    "Chooser",
    "CountName",
    "FitContext",
    "Grant",
    "Hooks",
    "Outlook",
    "PercentNames",
    "Profile",
    "ResourceNames",
    "Selection",
    "SelectionKeys",
    "SharedNames",
    "Tenant",
    "Witness",
    "added",
    "admit_as_is",
    "annotate_lists",
    "charge_as_asked",
    "charge_nothing",
    "charge_whole",
    "greedy",
    "larger",
    "lock_keys",
    "no_reach",
    "no_score",
    "one_card",
    "pass_card",
    "pass_node",
    "plain_share",
    "read_shares",
]


class Check(enum.Enum):
    """One test of a card, in the order a profile names them; the first that fails is the card's reason."""

    HEALTH = "H"
    CORDON = "cordon"
    TYPE = "T"
    UUID = "U"
    SLOTS = "S"
    MUTEX = "X"
    MEMORY = "M"
    CORES = "C"
    EXCLUSIVE = "E"
    ZERO_CORE = "Z"
    IDLE = "I"
    PREDICATE = "F"


#: What concerns cards that are given whole and are counted by their slots alone.
WHOLE_CHECKS = (Check.HEALTH, Check.CORDON, Check.TYPE, Check.UUID, Check.SLOTS, Check.MUTEX)

#: The generic rule of HAMi v2.10 (pkg/device/*/device.go Fit), which every family starts from. Quota (Q) is asked by
#: the engine after MEMORY has fixed the charge, NUMA (N) is a grouping of the candidates, K a clamp of the charge.
GENERIC_CHECKS = (*WHOLE_CHECKS, Check.MEMORY, Check.CORES, Check.EXCLUSIVE, Check.ZERO_CORE, Check.PREDICATE)


@dataclass(frozen=True, slots=True)
class ResourceNames:
    """The resource names users write; an empty one means that the family has none."""

    count: str
    memory: str = ""
    memory_percent: str = ""
    cores: str = ""
    priority: str = ""

    def all(self) -> tuple[str, ...]:
        """Every name the family manages, in a fixed order."""
        names = (self.count, self.memory, self.memory_percent, self.cores, self.priority)
        return tuple(name for name in names if name)


@dataclass(frozen=True, slots=True)
class CountName:
    """What every section of a device configuration has: the name of the count. Whole cards need no more."""

    count_name: str

    def names(self) -> ResourceNames:
        """As a profile takes them."""
        return ResourceNames(self.count_name)


@dataclass(frozen=True, slots=True)
class SharedNames(CountName):
    """What most sections have: the names of count, memory and cores."""

    memory_name: str
    core_name: str

    def names(self) -> ResourceNames:
        """As a profile takes them."""
        return ResourceNames(self.count_name, memory=self.memory_name, cores=self.core_name)


@dataclass(frozen=True, slots=True)
class PercentNames(SharedNames):
    """The same, and memory in percent of a card."""

    memory_percent_name: str

    def names(self) -> ResourceNames:
        """As a profile takes them."""
        return ResourceNames(self.count_name, self.memory_name, self.memory_percent_name, self.core_name)


@dataclass(frozen=True, slots=True)
class SelectionKeys:
    """Pod annotations by which users select cards; empty where the family knows none.

    ``also_use_uuid`` and ``also_nouse_uuid`` are further names of the same lists; what is written under all of them
    is put together.
    """

    use_uuid: str = ""
    nouse_uuid: str = ""
    use_type: str = ""
    nouse_type: str = ""
    mode: str = ""
    numa_bind: str = ""
    also_use_uuid: tuple[str, ...] = ()
    also_nouse_uuid: tuple[str, ...] = ()

    def all(self) -> tuple[str, ...]:
        """Every annotation of these, in a fixed order."""
        single = (self.use_uuid, self.nouse_uuid, self.use_type, self.nouse_type, self.mode, self.numa_bind)
        return tuple(key for key in (*single, *self.also_use_uuid, *self.also_nouse_uuid) if key)


_BY_THE_RULE = Hooks()


def lock_keys(profiles: Iterable[Profile]) -> tuple[str, ...]:
    """The node locks of these families, each once."""
    return tuple(dict.fromkeys(profile.lock_key for profile in profiles if profile.lock_key))


def managed_names(profiles: Iterable[Profile]) -> tuple[str, ...]:
    """All resource names of these families, each once: what admission, kube-scheduler and quotas are told of."""
    return tuple(dict.fromkeys(name for profile in profiles for name in profile.names.all()))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """One family of accelerators. Families are told apart by ``key`` alone, never by a card's model text.

    Profiles are compared by identity: each is made once, when the configuration is read.

    ``lock_key`` is the node lock under which its plugin serves one pod after the other. ``phase_key`` is the pod
    annotation in which the plugin tells a ``Phase``. ``served_key``: the plugin knows no lock and guesses its pod, but
    sets this pod annotation to ``true`` in the end; the lock is then of our own, and ours to release.

    ``live_name`` is the resource that the kubelet shows as long as the plugin is at work, where it is not the count;
    ``pod_keys`` and ``node_keys`` are annotations that the hooks read beside the selection and the register;
    ``label`` is the word of the family in a share's record, where it is not the key; with ``model_label`` the record
    names the card's model instead; ``core_masks``: its cores are a bit
    mask, and count as many as it has bits. ``extra_prefixes`` begin further keys that only the scheduler may write.
    ``tenant_keys``: the family's cards know their shares one by one, with these annotations of each pod (None: they
    don't); with ``part_tenants`` these are the shares of parts alone, and each for as long as its pod lives: a part is
    not given back when its init container ends. ``shares_of`` reads a pod's device list.
    ``one_name``: resource names of which a pod may use only one; ``one_container``: why the plugin can't serve a pod of
    which several containers ask (it is told at admission).
    ``byte_suffixes`` are those that mean bytes in a quota's amount of memory (none where memory is no MiB).
    """

    key: str
    names: ResourceNames
    allocated_key: str
    request_of: Callable[[Profile, Container], DeviceRequest | None]
    inventory_of: Callable[[Profile, Node], tuple[Device, ...]]
    register_key: str = ""
    to_allocate_key: str = ""
    handshake_key: str = ""
    lock_key: str = ""
    phase_key: str = protocol.BIND_PHASE
    served_key: str = ""
    selection: SelectionKeys = SelectionKeys()
    extra_keys: tuple[str, ...] = ()
    extra_prefixes: tuple[str, ...] = ()
    memory_unit_mib: int = 1
    memory_default_mib: int | None = None
    core_default: int = 0
    core_max: int = 100
    mode_words: tuple[str, ...] = ()
    live_name: str = ""
    pod_keys: tuple[str, ...] = ()
    node_keys: tuple[str, ...] = ()
    label: str = ""
    model_label: bool = False
    core_masks: bool = False
    tenant_keys: tuple[str, ...] | None = None
    part_tenants: bool = False
    shares_of: Callable[[Profile, Pod, str], tuple[tuple[Share, ...], ...]] = read_shares
    one_name: tuple[str, ...] = ()
    one_container: str = ""
    byte_suffixes: frozenset[str] = BINARY_SUFFIXES
    checks: tuple[Check, ...] = GENERIC_CHECKS
    hooks: Hooks = _BY_THE_RULE
    _managed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_managed", frozenset(self.names.all()))

    @property
    def written_keys(self) -> tuple[str, ...]:
        """Pod annotations of this family that only the scheduler may write."""
        return tuple(key for key in (self.to_allocate_key, self.allocated_key, *self.extra_keys) if key)

    @property
    def record_kind(self) -> str:
        """The type field of the family's records, unless it is the model."""
        return self.label or self.key

    def told(self, annotations: Mapping[str, str]) -> protocol.Phase | None:
        """What the plugin has told of a pod with these annotations; None when it tells nothing that is known."""
        if self.served_key and annotations.get(self.served_key) == protocol.SERVED:
            return protocol.Phase.SUCCESS
        return protocol.PHASES.get(annotations.get(self.phase_key, ""))

    def writes(self, key: str) -> bool:
        """Whether the pod annotation is one of this family that only the scheduler may write."""
        return key in self.written_keys or key.startswith(self.extra_prefixes)

    def marks(self, pod: Pod) -> tuple[str, ...]:
        """What the pod writes under ``tenant_keys``, empty texts where it writes nothing."""
        return tuple(pod.annotations.get(key, "") for key in self.tenant_keys or ())

    def named_in(self, names: Iterable[str]) -> bool:
        """Whether one of these resource names is the family's."""
        return not self._managed.isdisjoint(names)

    def request(self, container: Container) -> DeviceRequest | None:
        """What the container asks of this family; None when it does not name the count resource.

        Raises:
            InvalidRequest: an amount is malformed or out of range.
        """
        if not (self.named_in(container.limits) or self.named_in(container.requests)):
            return None
        return self.request_of(self, container)

    def inventory(self, node: Node) -> tuple[Device, ...]:
        """The family's cards on the node, sorted by (index, uuid); empty when it has none.

        Raises:
            ProtocolError: what the node publishes can't be read.
        """
        return self.inventory_of(self, node)
