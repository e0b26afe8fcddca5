"""One world of the walk: nodes of some families, the pods on them, and a cluster that keeps its answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.cluster import Cluster, Policies
from hami_operator.core.model import ContainerKind, Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import Amounts
from tests.builders import NOW, cluster, pod_object
from tests.vendors.families import Family

from .drawing import Kind, Site

POLICIES = Policies("binpack", "spread")

#: In so many of all worlds every family is in force, not only those that have nodes.
ALL_FAMILIES = 0.2

#: Shapes of a world's pods, and how many of them fit at first (as far as ones were drawn that do).
SHAPES, FITTING = 6, 5

CARD_POLICIES = ("binpack", "spread", "topology-aware", "mutex,binpack")

#: What is used of a node's cards, by uuid.
Totals = dict[str, Amounts]

#: A family and what pods of one kind ask of it, as a part of their objects.
Shape = tuple[Family, dict[str, Any]]


class Broken(AssertionError):
    """A rule does not hold."""


class World:
    """Drawn from a seed; ``running`` are the pods as they were bound, ``failing`` the nodes that are left alone."""

    def __init__(self, kinds: Sequence[Kind], seed: int) -> None:
        self.seed, self.random = seed, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.running: dict[str, Pod] = {}
        self.failing: set[tuple[str, str]] = set()
        draw = self.random
        chosen = draw.sample(list(kinds), draw.choice((1, 1, 2)))
        names = [f"n{number}" for number in range(1, draw.randint(1, 3) + 1)]
        self.sites = {name: Site.drawn(draw.choice(chosen), name, draw) for name in names}
        in_force = kinds if draw.random() < ALL_FAMILIES else [kind for kind in kinds if kind in chosen]
        self.profiles = list(dict.fromkeys(kind.family.profile for kind in in_force))
        self.kept = cluster([site.node() for site in self.sites.values()], profiles=self.profiles, policies=POLICIES)
        self.shapes = self._shapes([site.kind for site in self.sites.values()])

    def _shapes(self, kinds: Sequence[Kind]) -> list[Shape]:
        drawn = [self._shape(self.random.choice(kinds)) for _ in range(2 * SHAPES)]
        fits = [isinstance(schedule(read_pod(pod_of("p", shape)), self.kept, NOW), Placement) for shape in drawn]
        fitting = [shape for shape, fit in zip(drawn, fits, strict=True) if fit][:FITTING]
        return [*fitting, *(shape for shape, fit in zip(drawn, fits, strict=True) if not fit), drawn[0]][:SHAPES]

    def _shape(self, kind: Kind) -> Shape:
        draw, family = self.random, kind.family
        spec: dict[str, Any] = {"containers": [], "initContainers": []}
        for number in range(draw.choice((1, 1, 1, 2, 3))):
            place = ContainerKind.APP if number == 0 else draw.choice(list(ContainerKind))
            limits = {name: str(value) for name, value in draw.choice(kind.amounts).items()}
            container: dict[str, Any] = {"name": f"c{number}", "resources": {"limits": limits}}
            if place is ContainerKind.SIDECAR:
                container["restartPolicy"] = "Always"
            spec["containers" if place is ContainerKind.APP else "initContainers"].append(container)
        return family, {"annotations": self._annotations(family), **spec}

    def _annotations(self, family: Family) -> dict[str, str]:
        draw, keys, annotations = self.random, family.profile.selection, {}
        if draw.random() < 0.4:
            annotations[protocol.CARD_POLICY] = draw.choice(CARD_POLICIES)
        if draw.random() < 0.4:
            annotations[protocol.NODE_POLICY] = draw.choice(("binpack", "spread"))
        if keys.numa_bind and draw.random() < 0.2:
            annotations[keys.numa_bind] = "true"
        if keys.nouse_uuid and draw.random() < 0.2:
            annotations[keys.nouse_uuid] = draw.choice([site.cards[0].uuid for site in self.sites.values()])
        return annotations

    def fresh(self) -> Cluster:
        """The same world without memory: made from nothing, its nodes, cards and pods in another order."""
        draw = self.random
        sites = [self.sites[name] for name in draw.sample(sorted(self.sites), len(self.sites))]
        nodes = [site.node(draw.sample(site.cards, len(site.cards))) for site in sites]
        pods = [self.running[uid] for uid in draw.sample(sorted(self.running), len(self.running))]
        world = cluster(nodes, pods, profiles=self.profiles, policies=POLICIES)
        for name in self.kept.busy:
            world.set_busy(name, locked=True)
        for place in self.failing:
            world.failing.failed(place, place[0], NOW)
        return world

    def usage(self, node: str, family: Family) -> Totals:
        """What is used of the family's cards on a node."""
        return self.kept.ledger.usage(node).cards.get(family.profile.key, {})

    def must(self, holds: bool, rule: str) -> None:
        """Raises Broken, naming the rule and the seed of this world, where it does not hold."""
        if not holds:
            raise Broken(f"seed {self.seed}, decision {self.counts['decided']}: it does not hold that {rule}")


def pod_of(uid: str, shape: Shape) -> dict[str, Any]:
    """A Pod object of this shape."""
    spec = shape[1]
    metadata = {"uid": uid, "annotations": spec["annotations"]}
    return pod_object(uid, *spec["containers"], metadata=metadata, initContainers=spec["initContainers"])
