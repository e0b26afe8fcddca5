"""The checker finds what must not be given out, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hami_operator.core.model import ContainerKind, Device, Share
from hami_operator.sandbox.checker import Amount, Checker, Claim, Holding

CARDS = {name: Device(name, i, 3, 1000, 100, "x") for i, name in enumerate(("GPU-a", "GPU-b"))}


def claim(pod: str, *shares: Share, position: int = 0, kind: ContainerKind = ContainerKind.APP) -> Claim:
    return Claim(f"default/{pod}", f"uid-{pod}", position, f"c{position}", kind, shares, bound=1000.0)


def share(uuid: str = "GPU-a", memory: int = 100, cores: int = 10) -> Share:
    return Share(uuid, "NVIDIA", memory, cores)


def test_what_fits_is_taken() -> None:
    checker = Checker(CARDS)
    assert checker.claim(claim("p1", share(memory=400, cores=50))) == []
    assert checker.claim(claim("p2", share(memory=600, cores=50))) == []


def test_a_card_of_another_node_is_found() -> None:
    assert Checker(CARDS).claim(claim("p1", share("GPU-z"))) == [
        "pod default/p1, container c0: card GPU-z is not on this node"
    ]


def test_each_limit_of_a_card_is_found() -> None:
    checker = Checker(CARDS)
    assert checker.claim(claim("p1", share(memory=900, cores=90))) == []
    assert checker.claim(claim("p2", share(memory=101, cores=11))) == [
        "pod default/p2, container c0: 1001 of 1000 MiB of card GPU-a would be given out",
        "pod default/p2, container c0: 101 of 100 cores of card GPU-a would be given out",
    ]
    for pod in ("p3", "p4"):
        assert checker.claim(claim(pod, share(memory=0, cores=0))) == []
    assert checker.claim(claim("p5", share(memory=0, cores=0))) == [
        "pod default/p5, container c0: 4 of 3 slots of card GPU-a would be given out"
    ]


def test_what_was_refused_holds_nothing() -> None:
    checker = Checker(CARDS)
    assert checker.claim(claim("p1", share(memory=1001)))
    assert checker.claim(claim("p2", share(memory=1000))) == []


def test_a_mig_share_counts_on_its_card() -> None:
    checker = Checker(CARDS)
    assert checker.claim(claim("p1", Share("GPU-a[1-0]", "NVIDIA", 600, 0))) == []
    assert checker.claim(claim("p2", Share("GPU-a[1-1]", "NVIDIA", 600, 0)))


def test_a_pod_that_is_gone_gives_its_cards_back() -> None:
    checker = Checker(CARDS)
    assert checker.claim(claim("p1", share(memory=1000))) == []
    checker.keep_only({})
    assert checker.claim(claim("p2", share(memory=1000))) == []


def test_init_containers_and_app_containers_do_not_add_up() -> None:
    checker = Checker(CARDS)
    assert checker.claim(claim("p1", share(memory=900), kind=ContainerKind.INIT)) == []
    assert checker.claim(claim("p1", share(memory=800), position=1)) == []
    assert checker.claim(claim("p2", share(memory=150))) != []
    checker.keep_only({"uid-p1": True})
    assert checker.claim(claim("p2", share(memory=150))) == []


def test_a_sidecar_runs_beside_later_init_containers_and_the_app() -> None:
    holding = Holding(
        {
            0: claim("p", share(memory=500), kind=ContainerKind.INIT),
            1: claim("p", share(memory=100), position=1, kind=ContainerKind.SIDECAR),
            2: claim("p", share(memory=300), position=2, kind=ContainerKind.INIT),
            3: claim("p", share(memory=200), position=3),
        }
    )
    assert holding.amounts()["GPU-a"].memory_mib == 500
    holding.claims[2] = claim("p", share(memory=450), position=2, kind=ContainerKind.INIT)
    assert holding.amounts()["GPU-a"].memory_mib == 550
    holding.init_done = True
    assert holding.amounts()["GPU-a"].memory_mib == 300


def test_a_card_that_was_ill_when_the_pod_was_bound_is_found() -> None:
    checker = Checker(CARDS)
    checker.ill = {"GPU-a": 900.0}
    assert checker.claim(claim("p1", share())) == [
        "pod default/p1, container c0: card GPU-a was unhealthy for 100 s at bind time"
    ]
    checker.ill = {"GPU-a": 998.0}  # the pod was on its way
    assert checker.claim(claim("p1", share())) == []


def test_a_restart_enters_what_was_given_out_before() -> None:
    checker = Checker(CARDS)
    checker.restore(claim("p1", share(memory=1000)))
    assert checker.claim(claim("p2", share(memory=1))) != []


SHARES = st.builds(share, st.sampled_from(sorted(CARDS)), st.integers(0, 700), st.integers(0, 70))


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(SHARES, min_size=1, max_size=2)), max_size=12))
def test_what_app_containers_hold_never_passes_a_card(claims: list[tuple[int, list[Share]]]) -> None:
    """Whatever is asked, the sum of what was let through stays within each card, counted here by itself."""
    checker = Checker(CARDS)
    given_out: list[Share] = []
    for position, (pod, shares) in enumerate(claims):
        if not checker.claim(claim(f"p{pod}", *shares, position=position)):
            given_out += shares
    for uuid, card in CARDS.items():
        mine = [s for s in given_out if s.uuid == uuid]
        held = Amount(len(mine), sum(s.memory_mib for s in mine), sum(s.cores for s in mine))
        assert all(a <= b for a, b in zip(held, (card.slots, card.memory_mib, card.cores), strict=True))
