"""What must hold after every placement, whatever the family; each rule raises Broken where it does not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hami_operator.core import protocol
from hami_operator.core.answers import BEST_MARK, choose, decide, fits_without, marks, try_on
from hami_operator.core.binding import binding_annotations
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import ContainerKind, Device, DeviceRequest, Pod
from hami_operator.core.schedule import Placement, Unschedulable, schedule
from hami_operator.core.vendor import NOTHING, added
from tests.builders import NOW
from tests.vendors.families import Family, InParts, used_of

from .world import POLICIES, Totals, World


def cards_are_given_rightly(world: World, family: Family, pod: Pod, decision: Placement) -> None:
    """Right in number; different; none that is ill, cordoned or of another node; nothing beyond what a card has."""
    entry = world.kept.inventory.get(decision.node)
    cards = {card.uuid: card for card in (entry.devices[family.profile.key] if entry else ())}
    used, cordoned = world.usage(decision.node, family), world.sites[decision.node].cordoned
    world.must(used.keys() <= cards.keys(), "cards are the node's own")
    for uuid, (slots, memory_mib, cores) in used.items():
        card = cards[uuid]
        fits = slots <= card.slots and memory_mib <= card.memory_mib and cores <= card.cores
        world.must(fits, f"card {uuid} gives no more than it has")
    positions = decision.allocation.families[family.profile.key]
    for container, shares in zip(pod.containers, positions, strict=True):
        request = family.profile.request(container)
        world.must(len(shares) == (request.count if request else 0), "a container gets as many cards as it asks for")
        world.must(len({share.uuid for share in shares}) == len(shares), "the cards of a container differ")
        for share in shares:
            world.must(cards[share.card].healthy, f"card {share.card} is healthy")
            world.must(share.card not in cordoned, f"card {share.card} is not cordoned")


def the_charge_is_the_sum(world: World, family: Family, pod: Pod, decision: Placement, before: Totals) -> None:
    """Of pods without init containers, which give back what they held."""
    if any(container.kind is ContainerKind.INIT for container in pod.containers):
        return
    after = dict(before)
    for _, _, share in decision.allocation.shares():
        after[share.card] = added(after.get(share.card, NOTHING), family.weight(share))
    world.must(world.usage(decision.node, family) == after, "a pod is charged the sum of its shares")


def no_part_is_given_twice(world: World, node: str, pod: Pod) -> None:
    """Neither to two pods nor twice in a pod, but what an init container had, later containers may have."""
    pods, everything = {**world.running, pod.key.uid: pod}, Counter[str]()
    for uid, record in world.kept.ledger.usage(node).pods.items():
        init = [container.kind is ContainerKind.INIT for container in pods[uid].containers]
        parts = [(place, share.uuid) for _, place, share in record.allocation.shares() if share.place]
        steady = [part for place, part in parts if not init[place]]
        world.must(len(set(steady)) == len(steady), "no part of a card is given twice in a pod")
        everything.update({part for _, part in parts})
    world.must(not everything or max(everything.values()) == 1, "no part of a card is given to two pods")


def the_policy_is_followed(world: World, family: Family, pod: Pod, decision: Placement, before: Totals) -> None:
    """Of cards that are alike and free, binpack takes the fuller and spread the emptier."""
    policy = pod.annotations.get(protocol.CARD_POLICY, POLICIES.card)
    request = _plain_request(family, pod)
    if request is None or request.count != 1 or policy not in ("binpack", "spread") or family.together is not None:
        return
    cards = {card.uuid: card for card in world.sites[decision.node].cards}
    ((_, _, share),) = decision.allocation.shares()
    given, taken = _likeness(cards[share.card]), before.get(share.card, NOTHING)
    for card in _able(world, family, decision.node, before, request):
        if _likeness(card) == given:
            other = used_of(before, card)
            better, worse = (other, taken) if policy == "binpack" else (taken, other)
            dominated = all(b > w for b, w in zip(better, worse, strict=True))
            world.must(not dominated, f"by {policy} a card with {taken} comes before one with {other}")


def forgetting_restores(world: World, family: Family, pod: Pod, decision: Placement, before: Totals) -> None:
    """A reservation that is forgotten leaves no trace; it is made again afterwards."""
    world.kept.ledger.forget(pod.key.uid)
    world.must(dict(world.usage(decision.node, family)) == before, "a reservation that is forgotten leaves no trace")
    world.kept.ledger.assume(pod, decision.node, decision.allocation)


def the_bound_pod_reads_as_reserved(world: World, family: Family, pod: Pod, decision: Placement) -> Pod:
    """The pod with all that its Binding writes is seen back; so it is by what the family's plugin reads alone."""
    reserved, entry = world.kept.ledger.record(pod.key.uid), world.kept.inventory.get(decision.node)
    if reserved is None or entry is None:
        raise AssertionError(f"seed {world.seed}: {pod.key} is reserved nowhere")
    written = binding_annotations(pod, entry, decision.allocation, world.profiles, NOW)
    foreign = {key: value for key, value in written.items() if not key.startswith(protocol.OWN_PREFIX)}

    def seen_back(texts: Mapping[str, str], ledger: Ledger) -> Pod:
        annotations = {**pod.annotations, **texts}
        bound = replace(pod, annotations=annotations, node_name=decision.node, resource_version="1")
        ledger.observe(bound, NOW)
        seen = ledger.record(pod.key.uid)
        same = seen is not None and not seen.problems and seen.held == reserved.held
        world.must(same, "what is written is read back as it was reserved")
        return bound

    seen_back(foreign, Ledger([family.profile]))
    return seen_back(written, world.kept.ledger)


def memory_does_not_show(world: World, pod: Pod) -> None:
    """A cluster made from nothing, told in another order, says and chooses the same; the totals equal a recount."""
    one, other = schedule(pod, world.kept, NOW), schedule(pod, world.fresh(), NOW)
    world.must(one.message == other.message, f"a fresh cluster says {one.message!r} and not {other.message!r}")
    world.must(dict(one.kept.verdicts) == dict(other.kept.verdicts), "a fresh cluster judges each node alike")
    if isinstance(one, Placement):
        same = isinstance(other, Placement) and one.allocation.families == other.allocation.families
        world.must(same, "a fresh cluster gives the same cards")
    world.must(not world.kept.ledger.audit(), "the totals equal a recount")
    world.counts["compared"] += 1


def who_asks_node_by_node_is_told_the_same(world: World, pod: Pod) -> None:
    """A scheduler that chooses the node itself: each node gives what it said it would, the best mark is our choice, a
    node that is brought along is judged as the one that we know, and one that gets rid of all its pods takes the pod
    wherever it would do so empty."""
    kept, names = world.kept, sorted(world.sites)
    decision, found = decide(pod, kept, NOW)
    fitting = [name for name in names if found[name].fits]
    sign = decision.kept.sign if isinstance(decision, Placement) else 1.0
    marked = marks(found, names, sign)
    node, given = (decision.node, decision.allocation.families) if isinstance(decision, Placement) else ("", {})
    world.must((node in fitting) == bool(fitting), "we choose a node that fits, if any does")
    world.must(not fitting or marked[node] == max(marked.values()) >= BEST_MARK - 1, "our choice has the best mark")
    world.must(all(bool(marked[name]) <= found[name].fits for name in names), "what does not fit is worth nothing")
    for name in names:
        chosen = choose(pod, name, kept, NOW)
        world.must(isinstance(chosen, Placement) == (name in fitting), f"node {name} gives what it said it would")
        if isinstance(chosen, Placement) and name == node:
            world.must(chosen.allocation.families == given, "the cards are those that we would choose")
    tried = try_on(pod, [site.node() for site in world.sites.values()], kept, NOW)
    same = all(tried[name] == found[name].refusals for name in names)
    world.must(same, "nodes that are brought along are judged as those that we know")
    world.must(not kept.ledger.audit(), "questions leave no trace")
    empty = world.fresh()
    for uid in world.running:
        empty.ledger.gone(uid, NOW)
    verdicts = schedule(pod, empty, NOW).kept.verdicts
    for name in names:
        without = fits_without(pod, name, world.running, kept, NOW)
        world.must(without == verdicts[name].fits, f"node {name} without its pods is an empty one")


def nodes_judge_as_brute_force(world: World, family: Family, pod: Pod, decision: Placement | Unschedulable) -> None:
    """A node refuses only where no set of its cards would do, and takes the pod where one would.

    Not asked where a family judges by the shares on a card and init containers have some: those count beside the shares
    of later containers until they have ended, which is more than amounts tell.
    """
    request = _plain_request(family, pod)
    words = pod.annotations.get(protocol.CARD_POLICY, "")
    if request is None or "mutex" in words or "topology" in words:
        return
    bind = family.profile.selection.numa_bind in pod.annotations
    for name, site in world.sites.items():
        if site.kind.family is not family or (name, family.profile.key) in world.failing:
            continue
        if family.profile.tenant_keys is not None and _has_init_containers(world, name):
            continue
        able = _able(world, family, name, world.usage(name, family), request)
        would_do = any(
            (not bind or len({card.numa for card in chosen}) == 1)
            and (family.together is None or family.together(chosen))
            for chosen in itertools.combinations(able, request.count)
        )
        world.must(decision.kept.verdicts[name].fits == would_do, f"node {name} judges as brute force does")
        world.counts["brute force"] += 1


def _plain_request(family: Family, pod: Pod) -> DeviceRequest | None:
    """The request of a pod of one container that asks for cards as they are, by amounts alone; else None."""
    if (
        isinstance(family, InParts)
        or len(pod.containers) != 1
        or family.profile.selection.nouse_uuid in pod.annotations
    ):
        return None
    return family.profile.request(pod.containers[0])


def _has_init_containers(world: World, node: str) -> bool:
    pods = (world.running[uid] for uid in world.kept.ledger.usage(node).pods)
    return any(container.kind is ContainerKind.INIT for pod in pods for container in pod.containers)


def _able(world: World, family: Family, node: str, used: Totals, request: DeviceRequest) -> list[Device]:
    """Cards of a node that may be given, each by itself, by the family's rule as the tests know it."""
    site = world.sites[node]
    free = (card for card in site.cards if card.uuid not in site.cordoned)
    return [card for card in free if family.may_have(card, used_of(used, card), request)]


def _likeness(card: Device) -> Device:
    """What must be equal of two cards for them to be alike."""
    return replace(card, uuid="", index=0)
