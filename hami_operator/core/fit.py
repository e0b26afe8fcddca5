"""What checks and hooks look at while a decision is made: a card as it stands, what a request costs, a placement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .model import Device, DeviceRequest, Node, Pod, Share
from .reasons import Reason, Refusal

if TYPE_CHECKING:
    from .vendor import Profile


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
    """What a request costs on one card; ``total_cores`` is what its cores are compared with.

    ``place`` is the part that is taken of a card that is cut.
    """

    memory_mib: int
    cores: int
    total_cores: int
    place: str = ""


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
    ``requests`` are the pod's for this family by container position; ``witness`` is told what becomes of each card;
    ``reach`` is the largest linked group that any node of the cluster has by its hardware (0: nobody says).
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
    reach: int = 0


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
    card_policy: CardPolicy = CardPolicy()

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


#: Which n of these candidates, in policy order; when no n of them will do: None, or a reason of its own, or its words.
Chooser = Callable[[Sequence[CardState], int], Sequence[CardState] | Reason | Refusal | None]
