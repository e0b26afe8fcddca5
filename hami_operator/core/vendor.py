"""What a family of accelerators is: a declarative profile, and at most ten hooks for what is special about it.

The fields, the hooks and the letters of the checks are those of the design's vendor matrix. Everything has a default;
a plain family is a table of names. The engine (``allocate``) never asks which family it works on.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from . import protocol
from .model import Container, ContainerKind, Device, DeviceRequest, Node, Pod, Share
from .quantity import BINARY_SUFFIXES
from .reasons import Reason


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


#: The generic rule of HAMi v2.10 (pkg/device/*/device.go Fit), which every family starts from. Quota (Q) is asked by
#: the engine after MEMORY has fixed the charge, NUMA (N) is a grouping of the candidates, K a clamp of the charge.
GENERIC_CHECKS = (
    Check.HEALTH,
    Check.CORDON,
    Check.TYPE,
    Check.UUID,
    Check.SLOTS,
    Check.MUTEX,
    Check.MEMORY,
    Check.CORES,
    Check.EXCLUSIVE,
    Check.ZERO_CORE,
    Check.PREDICATE,
)


#: Of these, what concerns cards that are given whole and are counted by their slots alone.
WHOLE_CHECKS = (Check.HEALTH, Check.CORDON, Check.TYPE, Check.UUID, Check.SLOTS, Check.MUTEX)


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
class SharedNames:
    """The part of a device configuration that most families have: names of count, memory and cores."""

    count_name: str
    memory_name: str
    core_name: str

    def names(self) -> ResourceNames:
        """As a profile takes them."""
        return ResourceNames(self.count_name, memory=self.memory_name, cores=self.core_name)


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


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cards a pod lets itself be given. None or empty: no constraint; deny wins over allow."""

    use_uuids: frozenset[str] = frozenset()
    nouse_uuids: frozenset[str] = frozenset()
    use_types: tuple[str, ...] = ()
    nouse_types: tuple[str, ...] = ()
    modes: str = ""
    numa_bind: bool = False


@dataclass(frozen=True, slots=True)
class CardPolicy:
    """How cards are ordered: ``pack`` is binpack (fullest first) or spread; the words of the annotation behind it."""

    pack: bool = False
    mutex: bool = False
    topology_aware: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request costs on one card; ``total_cores`` is what its cores are compared with."""

    memory_mib: int
    cores: int
    total_cores: int


class Tenant(NamedTuple):
    """A share that somebody holds of a card, with what its pod wrote under ``Profile.tenant_keys``."""

    share: Share
    marks: tuple[str, ...]


class Amounts(NamedTuple):
    """Shares, MiB and cores: what something holds of a card, or is charged in all."""

    slots: int
    memory_mib: int
    cores: int


NOTHING = Amounts(0, 0, 0)


def added(a: Amounts, b: Amounts) -> Amounts:
    """The sum of both."""
    return Amounts(a[0] + b[0], a[1] + b[1], a[2] + b[2])


def larger(a: Amounts, b: Amounts) -> Amounts:
    """The larger of both in each part."""
    return Amounts(max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]))


@dataclass(slots=True)
class CardState:
    """A card and what is used of it, while a decision is made on a copy.

    ``own_steady`` and ``own_peak`` belong to the pod being placed: what its app containers and sidecars hold at once,
    and the most that an init container held beside the sidecars started before it. ``tenants`` are the shares on the
    card one by one, in no order, for families that ask for them.
    """

    device: Device
    used_slots: int = 0
    used_memory_mib: int = 0
    used_cores: int = 0
    tenants: tuple[Tenant, ...] = ()
    own_steady: Amounts = NOTHING
    own_peak: Amounts = NOTHING

    @property
    def own_charge(self) -> Amounts:
        """What the pod being placed is charged for this card."""
        return larger(self.own_steady, self.own_peak)


#: Told of every card that is looked at: the request, the card as it stood, what it would cost, why not (or None).
Witness = Callable[["FitContext", CardState, Charge, Reason | None], None]


@dataclass(frozen=True, slots=True)
class FitContext:
    """Everything a check or hook may look at for one container's request of one family on one node.

    ``cards`` are all cards of the family on the node, those that fit or not, as they stand before this request;
    ``requests`` are the pod's for this family by container position; ``witness`` is told what becomes of each card.
    """

    profile: Profile
    request: DeviceRequest
    selection: Selection
    policy: CardPolicy
    pod: Pod
    node: Node
    cordoned: frozenset[str]
    cards: Sequence[CardState] = ()
    requests: Sequence[DeviceRequest | None] = ()
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """A placement that a node offers, as the family's node score looks at it.

    ``given`` are the family's shares by container position, ``devices`` all its cards on the node by uuid, ``used``
    what was used of them before, ``tenants`` their shares by pod where the family asks for them; ``node_policy`` is
    ``binpack`` or ``spread``.
    """

    pod: Pod
    node: Node
    node_policy: str
    devices: Mapping[str, Device]
    used: Mapping[str, Amounts]
    given: Sequence[Sequence[Share]]
    tenants: Mapping[str, Mapping[str, tuple[Tenant, ...]]] = field(default_factory=dict)

    def tenants_of(self, card: str) -> tuple[Tenant, ...]:
        """The shares on a card before."""
        return tuple(tenant for shares in self.tenants.get(card, {}).values() for tenant in shares)

    def cards(self) -> set[str]:
        """The cards that the pod would be on."""
        return {share.card for shares in self.given for share in shares}


@dataclass(frozen=True, slots=True)
class Grant:
    """A family's part of a decided placement, as its annotations are written from it.

    ``given`` are the shares by container position, ``devices`` the family's cards on the node by uuid, ``now`` unix
    seconds.
    """

    profile: Profile
    pod: Pod
    node: Node
    devices: Mapping[str, Device]
    given: Sequence[Sequence[Share]]
    now: float

    @property
    def nanoseconds(self) -> str:
        """The time as several plugins want it: unix nanoseconds."""
        return str(int(self.now * 1_000_000_000))

    def indexes(self, shares: Sequence[Share]) -> str:
        """The positions of these cards on their node, as ``1,0``."""
        return ",".join(str(self.devices[share.card].index) for share in shares)


@dataclass(frozen=True, slots=True)
class Admission:
    """What a family's admission makes of one container.

    ``resources`` (name -> plain number) are to stand in limits and requests alike; ``env`` is appended where the name
    is not set yet; ``annotations`` are added to the pod where absent; ``runtime_class`` is for a pod that has none.
    """

    claimed: bool = False
    resources: Mapping[str, int] = field(default_factory=dict, hash=False)
    env: tuple[tuple[str, str], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    runtime_class: str = ""
    warnings: tuple[str, ...] = ()


#: Which n of these candidates, in policy order; None or a reason of its own when no n of them will do.
Chooser = Callable[[Sequence[CardState], int], Sequence[CardState] | Reason | None]


def admit_as_is(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Default of hook 1: the container is ours when it names the count resource; its request must be readable."""
    return Admission(claimed=profile.request(container) is not None)


def pass_node(context: FitContext) -> Reason | DeviceRequest | None:
    """Default of hook 4: every node will do, and the request means there what it says."""
    return None


def charge_as_asked(context: FitContext, device: Device) -> Charge:
    """Default of hook 5: memory as asked, or the percentage of the card (floor); cores clamped to the whole card.

    HAMi v2.10 pkg/device/nvidia/device.go Fit: memory wins over percentage; over 100 cores mean 100.
    """
    request = context.request
    memory = request.memory_mib
    if memory is None:
        percent = 100 if request.memory_percent is None else request.memory_percent
        memory = device.memory_mib * percent // 100
    return Charge(memory, min(request.cores or 0, 100), device.cores)


def charge_whole(context: FitContext, device: Device) -> Charge:
    """A ready-made hook 5: the whole card, whatever was asked."""
    return Charge(device.memory_mib, device.cores, device.cores)


def charge_nothing(context: FitContext, device: Device) -> Charge:
    """A ready-made hook 5: slots alone count."""
    return Charge(0, 0, device.cores)


def pass_card(context: FitContext, state: CardState) -> Reason | None:
    """Default of hook 6: nothing special about the card."""
    return None


def one_card(context: FitContext, state: CardState) -> Reason | None:
    """A ready-made hook 6: all containers of a pod share their cards, and the first goes where the others fit too."""
    if any(card.own_charge != NOTHING for card in context.cards):
        return None if state.own_charge != NOTHING else Reason.CUSTOM_FILTER_RULE
    if sum(request is not None for request in context.requests) < 2:
        return None
    need, device = _together(context, state.device), state.device
    free = (device.slots - state.used_slots, device.memory_mib - state.used_memory_mib, device.cores - state.used_cores)
    return None if all(asked <= left for asked, left in zip(need, free, strict=True)) else Reason.CUSTOM_FILTER_RULE


def _together(context: FitContext, device: Device) -> Amounts:
    """What all containers of the pod would be charged on one card."""
    steady = peak = NOTHING
    for container, request in zip(context.pod.containers, context.requests, strict=True):
        if request is not None:
            asked = replace(context, request=request)
            meant = context.profile.hooks.node_gate(asked)
            asked = replace(asked, request=meant) if isinstance(meant, DeviceRequest) else asked
            charge = context.profile.hooks.charge(asked, device)
            total = added(steady, Amounts(1, charge.memory_mib, charge.cores))
            if container.kind is ContainerKind.INIT:
                peak = larger(peak, total)
            else:
                steady = total
    return larger(steady, peak)


def greedy(context: FitContext) -> Chooser | None:
    """Default of hook 7: no chooser, the first cards in policy order are taken."""
    return None


def plain_share(context: FitContext, state: CardState, charge: Charge) -> Share:
    """Default of hook 8: the record holds what is charged."""
    profile, device = context.profile, state.device
    label = protocol.record_word(device.type) if profile.model_label else profile.key
    return Share(device.uuid, label, charge.memory_mib, charge.cores)


def no_score(outlook: Outlook) -> float:
    """Default of hook 9: the family prefers no node. Higher is better; the engine gives the sign."""
    return 0.0


def annotate_lists(grant: Grant) -> dict[str, str]:
    """Default of hook 10: the two device lists of the protocol (to-allocate only where the family has one)."""
    text = protocol.encode_shares(grant.given)
    keys = (grant.profile.to_allocate_key, grant.profile.allocated_key)
    return {key: text for key in keys if key}


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a family may replace. Hook 2 (request) and 3 (inventory) are ``Profile`` fields that are mostly data.

    ``node_gate`` refuses a node, or tells what the request means on it where that is not what it says; ``no_choice``
    is the reason when cards enough would fit and the chooser finds no set among them.
    """

    admit: Callable[[Profile, Container, Mapping[str, str]], Admission] = admit_as_is
    node_gate: Callable[[FitContext], Reason | DeviceRequest | None] = pass_node
    charge: Callable[[FitContext, Device], Charge] = charge_as_asked
    predicate: Callable[[FitContext, CardState], Reason | None] = pass_card
    chooser: Callable[[FitContext], Chooser | None] = greedy
    share: Callable[[FitContext, CardState, Charge], Share] = plain_share
    no_choice: Reason = Reason.ALLOCATED_CARDS_INSUFFICIENT
    node_score: Callable[[Outlook], float] = no_score
    annotate: Callable[[Grant], dict[str, str]] = annotate_lists


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """One family of accelerators. Families are told apart by ``key`` alone, never by a card's model text.

    Profiles are compared by identity: each is made once, when the configuration is read.

    ``live_name`` is the resource that the kubelet shows as long as the plugin is at work, where it is not the count;
    ``pod_keys`` and ``node_keys`` are annotations that the hooks read beside the selection and the register;
    ``model_label``: a share's record names the card's model instead of the family; ``core_masks``: its cores are a bit
    mask, and count as many as it has bits. ``extra_prefixes`` begin further keys that only the scheduler may write.
    ``tenant_keys``: the family's cards know their shares one by one, with these
    annotations of each pod (None: they don't). ``one_name``: resource names of which a pod may use only one.
    ``byte_suffixes`` are those that mean bytes in a quota's amount of memory (none where memory is no MiB).
    """

    key: str
    names: ResourceNames
    register_key: str
    to_allocate_key: str
    allocated_key: str
    request_of: Callable[[Profile, Container], DeviceRequest | None]
    inventory_of: Callable[[Profile, Node], tuple[Device, ...]]
    handshake_key: str = ""
    lock_key: str = ""
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
    model_label: bool = False
    core_masks: bool = False
    tenant_keys: tuple[str, ...] | None = None
    one_name: tuple[str, ...] = ()
    byte_suffixes: frozenset[str] = BINARY_SUFFIXES
    checks: tuple[Check, ...] = GENERIC_CHECKS
    hooks: Hooks = Hooks()
    _managed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_managed", frozenset(self.names.all()))

    @property
    def written_keys(self) -> tuple[str, ...]:
        """Pod annotations of this family that only the scheduler may write."""
        return tuple(key for key in (self.to_allocate_key, self.allocated_key, *self.extra_keys) if key)

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
