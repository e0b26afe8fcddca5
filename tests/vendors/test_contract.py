"""What holds for every family, whatever its profile says: one suite over the whole registry."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hami_operator.core import protocol
from hami_operator.core.binding import binding_annotations
from hami_operator.core.cluster import Cluster, Policies
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Device, Node, Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.quota import MOST, OWN_KIND, QuotaId, read_quota
from hami_operator.core.quotabook import allowances
from hami_operator.core.reasons import Reason
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import NOTHING, Amounts, added
from tests.builders import NOW, cluster, pod_object
from tests.vendors.families import Family, InParts, under_test, used_of

#: There are many families: each gets a share of the examples that a test of its own would have.
EXAMPLES = max(settings().max_examples // 4, 10)


def _over(families: Sequence[Family]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def over(test: Callable[..., None]) -> Callable[..., None]:
        drawn = settings(max_examples=EXAMPLES)(test) if hasattr(test, "hypothesis") else test
        return pytest.mark.parametrize("family", families, ids=str)(drawn)

    return over


every_family = _over(under_test())

#: What is free of a card in parts is no matter of its amounts: the parts have brute force of their own.
_AS_THEY_ARE = [family for family in under_test() if not isinstance(family, InParts)]
every_family_of_cards_as_they_are = _over(_AS_THEY_ARE)
every_family_of_single_cards = _over([family for family in _AS_THEY_ARE if family.together is None])

INIT, SIDECAR, APP = "init", "sidecar", "app"


def asking(uid: str, amounts: Sequence[tuple[str, dict[str, Any]]], **metadata: Any) -> dict[str, Any]:
    """A Pod object whose containers, by kind, ask for these amounts."""
    made: dict[str, list[dict[str, Any]]] = {INIT: [], APP: []}
    for number, (kind, limits) in enumerate(amounts):
        texts = {name: str(value) for name, value in limits.items()}
        container = {"name": f"c{number}", "resources": {"limits": texts}}
        if kind == SIDECAR:
            container["restartPolicy"] = "Always"
        made[APP if kind == APP else INIT].append(container)
    return pod_object(uid, *made[APP], metadata={"uid": uid, **metadata}, initContainers=made[INIT])


def crowded(data: st.DataObject, family: Family, *, nodes: int = 1, guests: int = 4) -> Cluster:
    """A cluster of this family in which some pods have been placed already."""
    names = [f"n{number}" for number in range(1, nodes + 1)]
    drawn = [family.node(name, data.draw(family.cards(f"{name}-card"), label=name)) for name in names]
    world = cluster(drawn, profiles=[family.profile], policies=Policies("binpack", "spread"))
    for number in range(data.draw(st.integers(0, guests), label="guests")):
        place(world, read_pod(asking(f"guest{number}", [(APP, data.draw(family.amounts))])))
    return world


def place(world: Cluster, pod: Pod) -> Placement | None:
    decision = schedule(pod, world, NOW)
    if not isinstance(decision, Placement):
        return None
    world.ledger.assume(pod, decision.node, decision.allocation)
    return decision


def cards_of(world: Cluster, family: Family, node: str) -> dict[str, Device]:
    entry = world.inventory.get(node)
    assert entry is not None
    return {card.uuid: card for card in entry.devices[family.profile.key]}


def totals(world: Cluster, family: Family, node: str) -> dict[str, Amounts]:
    return dict(world.ledger.usage(node).cards.get(family.profile.key, {}))


def within(card: Device, used: Amounts) -> bool:
    return used.slots <= card.slots and used.memory_mib <= card.memory_mib and used.cores <= card.cores


mixed = st.lists(st.sampled_from([INIT, SIDECAR, APP]), min_size=1, max_size=4)


@every_family
@given(data=st.data())
def test_nothing_is_ever_given_beyond_what_it_has(family: Family, data: st.DataObject) -> None:
    world = crowded(data, family, nodes=2, guests=6)
    amounts = [(kind, data.draw(family.amounts)) for kind in data.draw(mixed)]
    place(world, read_pod(asking("p", amounts)))
    for node in ("n1", "n2"):
        used = totals(world, family, node)
        cards = cards_of(world, family, node)
        assert used.keys() <= cards.keys()
        assert all(within(card, used_of(used, card)) for card in cards.values())
    assert world.ledger.audit() == []


@every_family
@given(data=st.data())
def test_a_request_gets_as_many_different_healthy_cards_of_its_node_as_it_asks(
    family: Family, data: st.DataObject
) -> None:
    world = crowded(data, family, nodes=2)
    cordoned = data.draw(st.sets(st.sampled_from(["n1-card-0", "n1-card-1", "n2-card-0"])))
    for entry in list(world.inventory):
        keep = {protocol.DEVICE_CORDON: ",".join(cordoned)}
        world.inventory.update(family.node(entry.node.name, entry.devices[family.profile.key], keep))
    amounts = [(APP, data.draw(family.amounts)) for _ in range(data.draw(st.integers(1, 3)))]
    pod = read_pod(asking("p", amounts))
    decision = place(world, pod)
    assume(decision is not None)
    assert decision is not None
    cards = cards_of(world, family, decision.node)
    positions = decision.allocation.families[family.profile.key]
    assert len(positions) == len(pod.containers)
    for container, shares in zip(pod.containers, positions, strict=True):
        request = family.profile.request(container)
        assert len(shares) == (request.count if request else 0)
        assert len({share.uuid for share in shares}) == len(shares)
        for share in shares:
            assert cards[share.card].healthy
            assert share.card not in cordoned


@every_family_of_cards_as_they_are
@given(data=st.data())
def test_a_node_is_refused_only_if_no_set_of_its_cards_would_do(family: Family, data: st.DataObject) -> None:
    """Brute force: every set of n cards is tried."""
    world = crowded(data, family)
    bind = data.draw(st.booleans(), label="numa-bind") and bool(family.profile.selection.numa_bind)
    annotations = {family.profile.selection.numa_bind: "true"} if bind else {}
    pod = read_pod(asking("p", [(APP, data.draw(family.amounts))], annotations=annotations))
    request = family.profile.request(pod.containers[0])
    assert request is not None
    used, cards = totals(world, family, "n1"), cards_of(world, family, "n1")
    able = [card for card in cards.values() if family.may_have(card, used_of(used, card), request)]
    sets = [
        chosen
        for chosen in itertools.combinations(able, request.count)
        if (not bind or len({card.numa for card in chosen}) == 1)
        and (family.together is None or family.together(chosen))
    ]
    decision = schedule(pod, world, NOW)
    assert isinstance(decision, Placement) == bool(sets)
    if isinstance(decision, Placement):
        taken = {share.card for _, _, share in decision.allocation.shares()}
        assert taken in [{card.uuid for card in chosen} for chosen in sets]


@every_family
@given(data=st.data())
def test_every_card_of_a_node_that_refuses_has_one_reason(family: Family, data: st.DataObject) -> None:
    world = crowded(data, family)
    pod = read_pod(asking("p", [(APP, data.draw(family.amounts))]))
    decision = schedule(pod, world, NOW)
    assume(not isinstance(decision, Placement))
    refusals = decision.kept.verdicts["n1"].refusals
    offered = len(cards_of(world, family, "n1"))
    if refusals[0].reason is Reason.NODE_INSUFFICIENT_DEVICE:
        request = family.profile.request(pod.containers[0])
        assert request is not None
        assert request.count > offered
    else:
        assert sum(refusal.devices or 0 for refusal in refusals) == offered
        assert {refusal.of for refusal in refusals} == {offered}


@every_family_of_single_cards
@given(data=st.data(), policy=st.sampled_from(["binpack", "spread"]))
def test_binpack_takes_the_fuller_card_and_spread_the_emptier(family: Family, data: st.DataObject, policy: str) -> None:
    """Of cards that are alike and fit, judged by each of shares, memory and cores where those agree."""
    card = data.draw(family.devices)
    cards = [
        Device(f"c{i}", i, 3, card.memory_mib, card.cores, card.type, mode=card.mode, custom=card.custom)
        for i in range(3)
    ]
    world = cluster([family.node("n1", cards)], profiles=[family.profile], policies=Policies("binpack", "spread"))
    cards = list(cards_of(world, family, "n1").values())
    for number in range(data.draw(st.integers(1, 4))):
        place(world, read_pod(asking(f"guest{number}", [(APP, data.draw(family.amounts))])))
    annotations = {protocol.CARD_POLICY: policy}
    limits = {**data.draw(family.amounts), family.profile.names.count: 1}
    pod = read_pod(asking("p", [(APP, limits)], annotations=annotations))
    request = family.profile.request(pod.containers[0])
    assert request is not None
    used = totals(world, family, "n1")
    able = [card for card in cards if family.may_have(card, used_of(used, card), request)]
    decision = schedule(pod, world, NOW)
    assume(isinstance(decision, Placement))
    assert isinstance(decision, Placement)
    (taken,) = [used.get(share.card, NOTHING) for _, _, share in decision.allocation.shares()]
    for other in (used_of(used, card) for card in able):
        better, worse = (other, taken) if policy == "binpack" else (taken, other)
        dominated = all(b > w for b, w in zip(better, worse, strict=True))
        assert not dominated, f"{other} would have been the better choice than {taken}"


@every_family
@given(data=st.data(), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_registration_and_of_nodes_does_not_show(
    family: Family, data: st.DataObject, shuffle: random.Random
) -> None:
    drawn = {name: data.draw(family.cards(f"{name}-card")) for name in ("n1", "n2")}
    pods = [read_pod(asking(f"p{i}", [(APP, data.draw(family.amounts))])) for i in range(3)]

    def outcome(nodes: Sequence[Node]) -> list[object]:
        world = cluster(nodes, profiles=[family.profile], policies=Policies("binpack", "spread"))
        return [(d.node, d.allocation.families) if (d := place(world, pod)) else None for pod in pods]

    straight = [family.node(name, cards) for name, cards in drawn.items()]
    mixed_up = [family.node(name, shuffle.sample(cards, len(cards))) for name, cards in drawn.items()]
    assert outcome(straight) == outcome(list(reversed(mixed_up)))


@every_family
@given(data=st.data())
def test_a_reservation_that_is_forgotten_leaves_no_trace(family: Family, data: st.DataObject) -> None:
    world = crowded(data, family)
    before = totals(world, family, "n1")
    amounts = [(kind, data.draw(family.amounts)) for kind in data.draw(mixed)]
    if place(world, read_pod(asking("p", amounts))) is not None:
        assert totals(world, family, "n1") != before
        assert world.ledger.forget("p").freed
    assert totals(world, family, "n1") == before
    assert world.ledger.audit() == []


@every_family
@given(data=st.data())
def test_a_pod_is_charged_the_sum_of_its_shares(family: Family, data: st.DataObject) -> None:
    world = crowded(data, family)
    before = totals(world, family, "n1")
    kinds = data.draw(st.lists(st.sampled_from([SIDECAR, APP]), min_size=1, max_size=3))
    decision = place(world, read_pod(asking("p", [(kind, data.draw(family.amounts)) for kind in kinds])))
    assume(decision is not None)
    assert decision is not None
    after = dict(before)
    for _, _, share in decision.allocation.shares():
        after[share.card] = added(after.get(share.card, NOTHING), family.weight(share))
    assert totals(world, family, "n1") == after


TEAM = QuotaId(OWN_KIND, "team", "team")


def limit(world: Cluster, hard: dict[str, Any]) -> None:
    obj = {"metadata": {"name": "team", "namespace": "team"}, "spec": {"hard": hard}}
    world.quotas.put(read_quota(obj, OWN_KIND, world.quotas.keys))


def used_of_quota(world: Cluster) -> dict[str, str]:
    """By key, in the key's own unit."""
    quota = world.quotas.get(TEAM)
    assert quota is not None
    return {a.key.text: a.key.shown(a.used) for a in allowances(quota, world.ledger.space("team").pods.values())}


def number(amount: str) -> int:
    return int(amount.removesuffix("Mi"))


@every_family
@given(data=st.data())
def test_a_quota_of_exactly_what_a_pod_costs_lets_it_in_and_one_unit_less_of_any_key_is_kept(
    family: Family, data: st.DataObject
) -> None:
    world = crowded(data, family, nodes=2)
    amounts = [(kind, data.draw(family.amounts)) for kind in data.draw(mixed)]
    pod = read_pod(asking("p", amounts, namespace="team"))
    limit(world, dict.fromkeys(world.quotas.keys, MOST))
    assume(place(world, pod) is not None)
    exact = used_of_quota(world)
    world.ledger.forget("p")
    limit(world, exact)
    assert place(world, pod) is not None
    assert used_of_quota(world) == exact
    for key in (key for key, amount in exact.items() if number(amount)):
        less = exact[key].replace(str(number(exact[key])), str(number(exact[key]) - 1))
        world.ledger.forget("p")
        limit(world, {**exact, key: less})
        decision = schedule(pod, world, NOW)
        if isinstance(decision, Placement):  # other cards cost less
            world.ledger.assume(pod, decision.node, decision.allocation)
            assert number(used_of_quota(world)[key]) <= number(less)
        else:
            assert str(Reason.RESOURCE_QUOTA_NOT_FIT) in decision.message


@every_family
@given(data=st.data())
def test_what_is_written_at_the_bind_is_read_back_as_it_was_reserved(family: Family, data: st.DataObject) -> None:
    """By our own record, and by the family's key alone where a pod lacks the record."""
    world = crowded(data, family, guests=2)
    obj = asking("p", [(kind, data.draw(family.amounts)) for kind in data.draw(mixed)])
    decision = place(world, read_pod(obj))
    assume(decision is not None)
    assert decision is not None
    record, entry = world.ledger.record("p"), world.inventory.get("n1")
    assert record is not None
    assert entry is not None
    written = binding_annotations(read_pod(obj), entry, decision.allocation, [family.profile], NOW)
    foreign = {key: value for key, value in written.items() if not key.startswith(protocol.OWN_PREFIX)}
    assert family.profile.allocated_key in foreign
    assert all(family.profile.writes(key) for key in set(written) - protocol.COMMON_WRITTEN_KEYS)
    for texts in (written, foreign):
        ledger = Ledger([family.profile])
        metadata = {**obj["metadata"], "annotations": texts}
        ledger.observe(read_pod({**obj, "metadata": metadata, "spec": {**obj["spec"], "nodeName": "n1"}}), NOW)
        seen = ledger.record("p")
        assert seen is not None
        assert seen.problems == {}
        assert seen.held == record.held
        assert seen.allocation.families == decision.allocation.families


@every_family
@given(data=st.data())
def test_at_no_moment_of_a_pods_life_is_a_card_overfull(family: Family, data: st.DataObject) -> None:
    """Init containers one after the other beside the sidecars started before, then sidecars and apps together."""
    world = crowded(data, family, guests=2)
    others = totals(world, family, "n1")
    kinds = sorted(data.draw(mixed), key=lambda kind: kind == APP)
    decision = place(world, read_pod(asking("p", [(kind, data.draw(family.amounts)) for kind in kinds])))
    assume(decision is not None)
    assert decision is not None
    cards = cards_of(world, family, "n1")
    running = dict(others)
    for kind, shares in zip(kinds, decision.allocation.families[family.profile.key], strict=True):
        moment = dict(running)
        for share in shares:
            moment[share.card] = added(moment.get(share.card, NOTHING), family.weight(share))
        assert all(within(card, used_of(moment, card)) for card in cards.values())
        if kind != INIT:
            running = moment


@every_family
@given(data=st.data())
def test_cards_are_read_back_from_the_register_as_they_were_written(family: Family, data: st.DataObject) -> None:
    cards = data.draw(family.cards("card"))
    assert list(family.profile.inventory(family.node("n1", cards))) == cards


@every_family
def test_a_family_owns_its_names_and_keys(family: Family) -> None:
    profile = family.profile
    assert len(set(profile.names.all())) == len(profile.names.all())
    assert profile.names.count
    assert profile.allocated_key in profile.written_keys
    assert not protocol.COMMON_WRITTEN_KEYS.intersection(profile.written_keys)


def test_no_two_families_share_a_key_or_a_name() -> None:
    profiles = list(dict.fromkeys(family.profile for family in under_test()))
    keys = [profile.key for profile in profiles]
    names = [name for profile in profiles for name in profile.names.all()]
    # Enflame's partitions are told to the same plugin as its percentages, under the same key.
    own = [profile for profile in profiles if profile.key != "Enflame-DRS"]
    lists = [key for profile in own for key in (profile.to_allocate_key, profile.allocated_key) if key]
    for texts in (keys, names, lists):
        assert len(set(texts)) == len(texts)
