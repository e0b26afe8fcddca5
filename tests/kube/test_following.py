"""When a replica leads that follows the kube-scheduler beside it: by looks whose times are given."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from hami_operator.kube.following import Follower, FollowSettings
from hami_operator.kube.leading import host_of

UUIDS = ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", "6fa459ea-ee8a-3ca4-894e-db77e160355e")
OURS, OTHERS, AGAIN = f"me_{UUIDS[0]}", f"other_{UUIDS[1]}", f"me_{UUIDS[1]}"


class Looking:
    """A follower with trust for 5 s, and a clock that is set by hand."""

    def __init__(self, host: str = "me") -> None:
        self.now = 0.0
        settings = FollowSettings("hami-system", host=host, look_s=1.0, trust_s=5.0)
        self.follower = Follower(client=None, settings=settings, monotonic=lambda: self.now)  # type: ignore[arg-type]

    def look(self, at: float, holder: str, *, took: float = 0.0) -> None:
        """A look that begins at ``at`` and takes so long."""
        self.now = at + took
        self.follower.observe({"holderIdentity": holder}, at)

    def leads(self, at: float) -> bool:
        self.now = at
        return self.follower.is_leader


@pytest.mark.parametrize(
    ("holder", "host"),
    [
        (OURS, "me"),
        (f"with_underscore_{UUIDS[0]}", "with_underscore"),
        ("hami-operator-7d4_1a2b3c4d", ""),
        ("", ""),
        ("me", ""),
    ],
    ids=["kube-scheduler", "underscore", "the direct driver's", "nobody", "no UUID"],
)
def test_the_host_is_read_from_an_identity_of_kube_scheduler_alone(holder: str, host: str) -> None:
    assert host_of(holder) == host


def ours_for(seconds: int) -> Looking:
    """The lease has been held beside us since 0 s, and was looked at each second."""
    looking = Looking()
    for second in range(seconds + 1):
        looking.look(second, OURS)
    return looking


def test_who_finds_a_new_holder_beside_itself_waits_before_it_leads() -> None:
    assert not ours_for(4).leads(4.9)
    assert ours_for(4).leads(5)


def test_without_looks_we_lead_until_the_trust_in_the_last_one_is_over() -> None:
    looking = ours_for(10)
    looking.look(11, OURS, took=2)
    assert looking.leads(15.9)
    assert not looking.leads(16), "trust begins with the look, not with its answer"


@pytest.mark.parametrize("holder", [OTHERS, ""], ids=["somebody else", "nobody"])
def test_another_holder_ends_it_at_once(holder: str) -> None:
    looking = ours_for(10)
    looking.look(11, holder)
    assert not looking.leads(11)


def test_a_kube_scheduler_that_was_restarted_beside_us_is_waited_for_as_a_stranger() -> None:
    looking = ours_for(10)
    for second in range(11, 17):
        looking.look(second, AGAIN)
        assert looking.leads(second) == (second == 16)


class SlowServer:
    """Answers that we are beside the holder; each answer takes as long as ``seconds`` tells, by a clock of its own."""

    def __init__(self, seconds: list[float]) -> None:
        self.now = 0.0
        self.done = asyncio.Event()
        self._seconds: Iterator[float] = iter(seconds)

    async def get(self, _: str) -> dict[str, Any]:
        pause = next(self._seconds, None)
        if pause is None:
            self.done.set()
            await asyncio.Event().wait()
        self.now += pause or 0.0
        return {"spec": {"holderIdentity": OURS}}


@pytest.mark.asyncio
@pytest.mark.parametrize(("slowest", "terms"), [(3.5, 1), (4.5, 2)], ids=["in time", "too late"])
async def test_a_lapse_is_not_overlooked_because_the_look_that_was_late_finds_all_well(
    slowest: float, terms: int
) -> None:
    """Writes were refused in between: what they left open is to be fenced."""
    server = SlowServer([*[1.0] * 8, slowest, *[0.1] * 9])
    settings = FollowSettings("hami-system", host="me", look_s=0.0, trust_s=5.0)
    follower = Follower(server, settings, monotonic=lambda: server.now)  # type: ignore[arg-type]
    begun = []

    async def lead() -> None:
        begun.append(server.now)
        await asyncio.Event().wait()

    following = asyncio.ensure_future(follower.run(lead))
    await server.done.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert len(begun) == terms


@pytest.mark.parametrize("seed", range(200))
def test_two_never_lead_at_once_however_the_lease_goes_to_and_fro(seed: int) -> None:
    """Both look when they like, their looks take long, and the lease changes hands at any moment."""
    draw = random.Random(seed)
    pair = [Looking("a"), Looking("b")]
    identities = [f"a_{UUIDS[0]}", f"b_{UUIDS[1]}", ""]
    holder, due, led = "", [0.0, 0.0], False
    for step in range(1, 2400):
        now = step / 10
        if draw.random() < 0.01:
            holder = draw.choice(identities)
        for number, looking in enumerate(pair):
            if now >= due[number]:
                before, after = (draw.choice((0.0, 0.0, 0.5)) for _ in range(2))  # the server reads in between
                looking.now = now + after
                looking.follower.observe({"holderIdentity": holder}, now - before)
                due[number] = now + after + draw.choice((0.3, 1.0, 1.0, 1.0, 4.0))
        leading = [looking.leads(now) for looking in pair]
        assert not all(leading), f"both lead at {now} s"
        led = led or any(leading)
    assert led
