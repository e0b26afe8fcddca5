"""The steps of the walk: pods come and go, nodes change, fall ill, are locked and fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW

from . import rules
from .drawing import Kind
from .world import World, pod_of

#: Decisions of one world before the next is drawn, and the pods that it holds at a time.
DECISIONS, PODS = 250, 24

#: The dear questions come with one decision of so many.
RARELY = 10

#: How often each step is taken.
PLACE, END, CHANGE, LOCK, FAIL, RECOVER = 50, 38, 6, 3, 1, 6


def walk(kinds: Sequence[Kind], placements: int, seed: int) -> Counter[str]:
    """Walk through one world after the other until so many pods were placed; what was counted. Raises Broken."""
    counts: Counter[str] = Counter()
    number = 0
    while counts["placed"] < placements:
        world = World(kinds, seed * 1_000_000 + number)
        walk_through(world, placements - counts["placed"])
        counts += world.counts
        number += 1
    return counts


def walk_through(world: World, placements: int) -> None:
    """Steps until the world is old or so many pods were placed. Raises Broken."""
    steps, weights = (place, end, change, lock, fail, recover), (PLACE, END, CHANGE, LOCK, FAIL, RECOVER)
    while world.counts["decided"] < DECISIONS and world.counts["placed"] < placements:
        world.random.choices(steps, weights)[0](world)
    world.must(not world.kept.ledger.audit(), "the totals equal a recount")


def place(world: World) -> None:
    """A pod comes, is decided, reserved, bound and seen back."""
    if len(world.running) >= PODS:
        end(world)
    shape = world.random.choice(world.shapes)
    family, uid = shape[0], f"p{world.counts['decided']}"
    pod = read_pod(pod_of(uid, shape))
    decision = schedule(pod, world.kept, NOW)
    world.counts["decided"] += 1
    rarely = world.counts["decided"] % RARELY == 0
    if rarely:
        rules.who_asks_node_by_node_is_told_the_same(world, pod)
        decision = schedule(pod, world.kept, NOW)
        rules.memory_does_not_show(world, pod)
        rules.nodes_judge_as_brute_force(world, family, pod, decision)
    if not isinstance(decision, Placement):
        return
    world.counts.update(["placed", str(family)])
    before = dict(world.usage(decision.node, family))
    world.kept.ledger.assume(pod, decision.node, decision.allocation)
    rules.cards_are_given_rightly(world, family, pod, decision)
    rules.the_charge_is_the_sum(world, family, pod, decision, before)
    rules.no_part_is_given_twice(world, decision.node, pod)
    rules.the_policy_is_followed(world, family, pod, decision, before)
    if rarely:
        rules.forgetting_restores(world, family, pod, decision, before)
    world.running[uid] = rules.the_bound_pod_reads_as_reserved(world, family, pod, decision)


def end(world: World) -> None:
    """A pod ends."""
    if world.running:
        uid = world.random.choice(sorted(world.running))
        del world.running[uid]
        world.kept.ledger.gone(uid, NOW)


def change(world: World) -> None:
    """A node that nobody uses gets other cards; of one in use, cards fall ill or are cordoned."""
    draw = world.random
    site = world.sites[draw.choice(sorted(world.sites))]
    if all(pod.node_name != site.name for pod in world.running.values()):
        site.cards = list(draw.choice(site.kind.cards(site.name)))
        site.cordoned = frozenset()
    elif draw.random() < 0.5:
        site.cordoned = frozenset(card.uuid for card in site.cards if draw.random() < 0.15)
    else:
        cards = [replace(card, healthy=draw.random() < 0.85) for card in site.cards]
        site.cards = cards if site.kind.tells_health(site.name, cards) else site.cards
    world.kept.inventory.update(site.node(draw.sample(site.cards, len(site.cards))))


def lock(world: World) -> None:
    """The lock of a node is taken, or let go."""
    name = world.random.choice(sorted(world.sites))
    world.kept.set_busy(name, locked=name not in world.kept.busy)


def fail(world: World) -> None:
    """The plugin of a node fails."""
    name = world.random.choice(sorted(world.sites))
    at = (name, world.sites[name].kind.family.profile.key)
    world.kept.failing.failed(at, name, NOW)
    world.failing.add(at)
    world.kept.journal.note(name)


def recover(world: World) -> None:
    """All plugins are at work again."""
    for at in sorted(world.failing):
        world.kept.failing.ended(at, NOW)
        world.kept.failing.forget_pod(at[0])
        world.kept.journal.note(at[0])
    world.failing.clear()
