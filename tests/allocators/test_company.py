"""Least company against brute force: every pair of cards compared by what a pod would find on them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hami_operator.allocators.company import company, company_score, least_company
from hami_operator.core.model import Share
from hami_operator.core.vendor import CardState, Tenant
from tests.builders import device

words = st.lists(st.sampled_from(["online", "offline", ""]), max_size=5)


def class_of(tenant: Tenant) -> str:
    return tenant.marks[0]


def state(number: int, classes: list[str]) -> CardState:
    tenants = tuple(Tenant(Share(str(number), "X", 1, 1), (word,)) for word in classes)
    return CardState(device(str(number)), used_slots=len(tenants), tenants=tenants)


@given(cards=st.lists(words, min_size=1, max_size=6), data=st.data())
def test_no_card_that_is_left_has_better_company(cards: list[list[str]], data: st.DataObject) -> None:
    states = [state(number, classes) for number, classes in enumerate(cards)]
    count = data.draw(st.integers(1, len(states)))
    chosen = least_company(states, count, class_of)
    assert len({card.device.uuid for card in chosen}) == count
    left = [card for card in states if card not in chosen]
    for mine in chosen:
        for other in left:
            here, there = company(mine.tenants, class_of), company(other.tenants, class_of)
            alone_here, alone_there = here.offline > 0 == here.online, there.offline > 0 == there.online
            assert alone_here <= alone_there, "a card with batch pods alone comes last"
            if alone_here == alone_there:
                assert here.online <= there.online
                assert here.online < there.online or here.offline <= there.offline


@given(classes=words)
def test_a_card_counts_each_class_once_per_share(classes: list[str]) -> None:
    assert company(state(0, classes).tenants, class_of) == (classes.count("online"), classes.count("offline"))


@given(cards=st.lists(words, min_size=2, max_size=2))
def test_a_card_of_better_company_never_scores_worse_in_a_class_of_its_own(cards: list[list[str]]) -> None:
    one, two = (company(state(number, classes).tenants, class_of) for number, classes in enumerate(cards))
    if (one.online == 0) == (two.online == 0) and one.online <= two.online and one.offline <= two.offline:
        assert company_score(one) >= company_score(two)
    assert company_score(one) <= 0
