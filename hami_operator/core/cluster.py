"""Everything a decision looks at, and what nodes answered to the shapes that were asked before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import protocol
from .allocate import Demand, read_demand
from .certain import certain_charges
from .failing import Failing
from .inventory import Inventory
from .journal import Journal
from .kept import Kept
from .ledger import Ledger
from .model import Pod
from .node_fit import OURS, Claim, NodeFit, Surroundings
from .quotabook import QuotaBook, Rooms
from .vendor import Profile, no_reach

#: Shapes whose verdicts are kept; the one that was not asked for longest goes first.
SHAPES_KEPT = 256


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of pods that name none: ``binpack`` or ``spread`` for nodes, words of ``request`` for cards."""

    node: str
    card: str


@dataclass(slots=True)
class Cluster:
    """Everything a decision looks at. The same instance is asked again and again: it keeps what nodes answered.

    ``failing`` tells which families of which nodes are left alone; ``busy`` names nodes whose lock is held;
    ``node_fit`` is what is judged beside cards.
    """

    profiles: Sequence[Profile]
    policies: Policies
    inventory: Inventory
    ledger: Ledger
    around: Surroundings = field(default_factory=Surroundings)
    failing: Failing = field(default_factory=Failing)
    busy: set[str] = field(default_factory=set)
    node_fit: NodeFit = OURS
    journal: Journal = field(default_factory=Journal)
    quotas: QuotaBook = field(init=False)
    reach: dict[str, int] = field(default_factory=dict)
    _shapes: dict[object, Kept] = field(default_factory=dict)
    _keys: frozenset[str] = frozenset()
    _reach_of: int = -1

    def __post_init__(self) -> None:
        self.inventory.journal = self.ledger.journal = self.journal
        self.quotas = QuotaBook(self.profiles, self.ledger)
        self._keys = annotation_keys(self.profiles)

    def look_at_links(self) -> None:
        """Bring the largest linked group of each family up to date; what nodes answered before is void when it changed.

        A pod that asks for linked cards waits for them as long as some node could have them, and only then.
        """
        if self._reach_of == self.inventory.revision:
            return
        self._reach_of = self.inventory.revision
        reach: dict[str, int] = {}
        for profile in (profile for profile in self.profiles if profile.hooks.reach is not no_reach):
            groups = (entry.devices.get(profile.key) for entry in self.inventory)
            reach[profile.key] = max((profile.hooks.reach(devices) for devices in groups if devices), default=0)
        if reach != self.reach:
            self.reach = reach
            self.forget_answers()

    def set_busy(self, node: str, *, locked: bool) -> None:
        """A node's lock was taken or released."""
        if locked != (node in self.busy):
            (self.busy.add if locked else self.busy.discard)(node)
            self.journal.note(node)

    def set_claim(self, key: tuple[str, str], claim: Claim | None) -> bool:
        """What is known of a PersistentVolumeClaim, by (namespace, name); False when that is no news."""
        claims = self.around.claims
        if claims.get(key) == claim:
            return False
        if claim is None:
            del claims[key]
        else:
            claims[key] = claim
        self._shapes = {shape: kept for shape, kept in self._shapes.items() if not kept.claims}
        return True

    def forget_answers(self) -> None:
        """Ask every node anew at the next decision."""
        self._shapes.clear()

    def demand_of(self, pod: Pod) -> Demand:
        """What the pod asks of a node's cards, by the policies in force. Raises InvalidRequest."""
        return read_demand(pod, self.profiles, card_policy=self.policies.card, node_policy=self.policies.node)

    def kept(self, pod: Pod) -> Kept:
        """The verdicts on pods that ask the same, as old as they may be; quotas are not looked at.

        Raises:
            InvalidRequest: an amount or a policy word of the pod is malformed or out of range.
        """
        shape = shape_of(pod, self._keys, labels_matter=self.ledger.labels_matter)
        kept = self._shapes.pop(shape, None)
        if kept is None:
            demand = self.demand_of(pod)
            kept = Kept(demand, certain=certain_charges(demand), claims=bool(pod.constraints.claims))
        return self._keep(shape, kept)

    def kept_within(self, usual: Kept, pod: Pod, rooms: Rooms) -> Kept:
        """The verdicts on the same pods where quotas leave them just this; those within other rooms are forgotten."""
        shape = (usual, pod.key.namespace, pod.traits)
        kept = self._shapes.pop(shape, None)
        if kept is None or kept.rooms != rooms:
            kept = Kept(usual.demand, rooms, usual.certain, usual.claims)
        return self._keep(shape, kept)

    def _keep(self, shape: object, kept: Kept) -> Kept:
        self._shapes[shape] = kept  # the newest last
        if len(self._shapes) > SHAPES_KEPT:
            del self._shapes[next(iter(self._shapes))]
        return kept


def annotation_keys(profiles: Sequence[Profile]) -> frozenset[str]:
    """The annotations of a pod that a decision looks at."""
    keys = {protocol.NODE_POLICY, protocol.CARD_POLICY}
    for profile in profiles:
        keys.update(profile.selection.all(), profile.pod_keys)
    return frozenset(keys)


def shape_of(pod: Pod, keys: frozenset[str], *, labels_matter: bool) -> object:
    """What two pods must have in common to be answered alike by every node; ``keys`` are the annotations that count."""
    constraints = pod.constraints
    return (
        tuple([(c.kind.value, *c.limits.items(), None, *c.requests.items()) for c in pod.containers]),
        tuple(sorted([item for item in pod.annotations.items() if item[0] in keys])),
        pod.resources,  # overhead stands in no container
        constraints,
        tuple(sorted(pod.labels.items())) if labels_matter else None,
        pod.key.namespace if constraints.claims or labels_matter else None,
    )
