"""What differs between device plugins, as values: names, texts, releases, how a pod is found and served."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hami_operator.core.model import Device, Share
from hami_operator.core.protocol import BIND_PHASE, NODE_LOCK, encode_devices_json, encode_devices_text
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import Place

Json = dict[str, Any]


class Handshake(enum.Enum):
    """When a plugin writes its handshake annotation: with every registration, only with a changed one, never."""

    ALWAYS = "always"
    ON_CHANGE = "on-change"
    NEVER = "never"


class Finds(enum.Enum):
    """How a plugin finds the pod that a call is for: named by the node lock, else or only among pods that wait."""

    LOCK_THEN_SCAN = "lock-then-scan"
    LOCK = "lock"
    SCAN = "scan"


@dataclass(frozen=True, slots=True)
class Release:
    """What changed between releases of one plugin.

    ``json_register``: JSON, else the comma form. ``keeps_empty``: empty segments keep their place, and positions count
    init containers first; else they are dropped. ``more_word``: as long as the list of segments holds it, more
    containers follow. ``takes_success``: a Pending pod whose phase is ``success`` already may be taken up again.
    """

    name: str
    json_register: bool
    keeps_empty: bool
    handshake: Handshake
    more_word: str
    takes_success: bool = False


#: Releases of HAMi that a user may name. Most vendors' own plugins are the same beside all of them.
RELEASE_NAMES = ("2.7", "2.8", "2.9", "2.10")


def any_release(release: Release) -> dict[str, Release]:
    """The same plugin, whatever release of HAMi stands beside it."""
    return dict.fromkeys(RELEASE_NAMES, release)


#: Of plugins that register with no list of HAMi's and consume none.
OWN = Release("own", json_register=True, keeps_empty=True, handshake=Handshake.NEVER, more_word="")


@dataclass(frozen=True, slots=True)
class Call:
    """One Allocate call: the kubelet chose ``count`` ids of ``resource`` for a container."""

    resource: str
    count: int


class Tenancy(NamedTuple):
    """What a live container holds of a card, and what its plugin noted of it."""

    uid: str
    share: Share
    note: str = ""


#: What is held, by card.
Held = Mapping[str, Sequence[Tenancy]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What a plugin knows when it is called.

    ``cards`` with their health as it is now; ``held`` what it gave out that still lives; ``served`` the calls it has
    answered by pod uid, as container position and resource.
    """

    node: str
    habits: Habits
    release: Release
    cards: tuple[Device, ...]
    held: Held = field(default_factory=dict)
    served: Mapping[str, frozenset[tuple[int, str]]] = field(default_factory=dict)

    def card(self, index: int) -> Device:
        """The card of this index. Raises AllocateFailed when the node has none."""
        for card in self.cards:
            if card.index == index:
                return card
        raise AllocateFailed(f"there is no card {index}, the node has {', '.join(str(c.index) for c in self.cards)}")

    def tenants(self, card: str) -> Sequence[Tenancy]:
        """Who is on a card."""
        return self.held.get(card, ())


@dataclass(frozen=True, slots=True)
class Grant:
    """One container's cards: what the plugin makes its answer of. ``env`` are the container's own plain variables."""

    shares: tuple[Share, ...]
    pod_uid: str
    container: str
    env: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount the plugin asks the kubelet for."""

    container_path: str
    host_path: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Injection:
    """A plugin's answer for one container: environment and mounts."""

    envs: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plugin makes of a call: for which container, what it hands out, what it writes to the pod.

    No shares: the container has its cards already, from the call for another resource. ``note`` is what the plugin
    remembers beside the shares; ``last``: no container of the pod is left without its cards.
    """

    place: Place
    shares: tuple[Share, ...]
    injection: Injection
    writes: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    last: bool = True


def node_and_index(word: str) -> Callable[[str, int, uuid.UUID], str]:
    """Ids of cards that are known by their position: ``<node>-<word>-<index>``."""
    return lambda node, index, _: f"{node}-{word}-{index}"


def by_uuid(prefix: str = "") -> Callable[[str, int, uuid.UUID], str]:
    """Ids of cards that the driver knows by a uuid, with a word such as ``GPU-`` before it."""
    return lambda _node, _index, card: f"{prefix}{card}"


def product_text(product: str, release: Release) -> str:
    """The type text of most plugins: the product's name."""
    return product


def two_sockets(index: int, count: int) -> int:
    """The first half of the cards is on NUMA node 0, the second on 1."""
    return 0 if index * 2 < count else 1


def no_facts(index: int, count: int) -> Mapping[str, object]:
    """Nothing beside what every card has."""
    return {}


def slots_of(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    """One device id for each slot of each card."""
    return {habits.resource: sum(card.slots for card in cards)}


def register(desk: Desk) -> dict[str, str]:
    """HAMi's register annotation in the release's form; nothing for plugins that have none."""
    habits = desk.habits
    if not habits.register_key:
        return {}
    if desk.release.json_register:
        return {habits.register_key: encode_devices_json(desk.cards, habits.family)}
    return {habits.register_key: encode_devices_text(desk.cards)}


def as_they_are(cards: Sequence[Device]) -> dict[str, Device]:
    """The checker counts cards as they are registered."""
    return {card.uuid: card for card in cards}


def reported(now: float) -> str:
    """``Reported 2025-10-09 08:53:20.1 +0000 UTC``: the word and Go's default text of a time."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return f"Reported {moment:%Y-%m-%d %H:%M:%S.%f} +0000 UTC"


def visible(variable: str) -> Callable[[Grant], Injection]:
    """A container is told its cards in one variable, as the lists call them."""
    return lambda grant: Injection({variable: ",".join(share.uuid for share in grant.shares)})


def inject_nothing(grant: Grant) -> Injection:
    """Nothing is known of what the plugin injects."""
    return Injection()


@dataclass(frozen=True, slots=True)
class Habits:
    """One vendor's device plugin. ``resource`` is what the kubelet counts; ``releases`` by version, oldest first.

    ``serve`` answers a call for a pod that may be meant (None: it is not). ``waits`` tells for a scan whether a
    pod of the node may be meant, ``since`` which comes first. ``phase_key``: the pod's annotation to which the plugin
    writes the outcome (empty: it tells nobody), beside it ``closing``; ``lock_key``: the node lock that it takes away
    when a pod has all its cards, whoever holds it where ``lock_of_anyone``. ``amounts`` are the device ids of some
    cards by resource; calls for ``only_counted`` resources are answered with nothing, for whichever pod; ``publish``
    the node's annotations; ``checked`` what the checker counts; ``publish_after``: the node's annotations tell what is
    free; ``section`` is that of the settings without which the operator does not know the family.
    """

    family: str
    resource: str
    releases: Mapping[str, Release]
    card_id: Callable[[str, int, uuid.UUID], str]
    serve: Callable[[Desk, Json, Call], Answer | None]
    register_key: str = ""
    handshake_key: str = ""
    to_allocate_key: str = ""
    allocated_key: str = ""
    mode: str = ""
    lock_key: str = NODE_LOCK
    finds: Finds = Finds.LOCK_THEN_SCAN
    phase_key: str = BIND_PHASE
    closing: Mapping[str, str] = field(default_factory=dict, hash=False)
    lock_of_anyone: bool = False
    only_counted: frozenset[str] = frozenset()
    waits: Callable[[Desk, Json], bool] = lambda desk, pod: False
    since: Callable[[Json], int] = lambda pod: 0
    type_text: Callable[[str, Release], str] = product_text
    numa_of: Callable[[int, int], int] = two_sockets
    facts: Callable[[int, int], Mapping[str, object]] = no_facts
    amounts: Callable[[Habits, Sequence[Device]], dict[str, int]] = slots_of
    publish: Callable[[Desk], dict[str, str]] = register
    checked: Callable[[Sequence[Device]], dict[str, Device]] = as_they_are
    stamp: Callable[[float], str] = reported
    inject: Callable[[Grant], Injection] = inject_nothing
    units: tuple[str, str, str] = ("slots", "MiB", "cores")
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    section: str = ""
    publish_after: bool = False

    @property
    def socket(self) -> str:
        """Name of the plugin's socket beside the kubelet's, after the resource: ``nvidia-gpu.sock``."""
        vendor, _, kind = self.resource.partition("/")
        return f"{vendor.partition('.')[0]}-{kind}.sock"

    @property
    def hollow(self) -> bool:
        """Whether a hollow node can have it: one resource with an id per slot, and no labels of the node."""
        return self.amounts is slots_of and not self.labels
