"""Settings of the lease."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.kube.client import Json
from hami_operator.kube.errors import NotFound
from hami_operator.kube.leases import Elector, LeaseSettings

KUBE_SCHEDULER = "hami-operator-1_1b4e28ba-2fa1-11d2-883f-0016d3cca427"


def test_lease_times_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"retry 2 s < renew deadline 20 s < duration 15 s"):
        LeaseSettings("default", renew_deadline_s=20, retry_s=2)


def test_every_process_has_an_identity_of_its_own() -> None:
    assert LeaseSettings("default").identity != LeaseSettings("default").identity


class Leases:
    """One lease, as the API server keeps it."""

    def __init__(self, holder: str) -> None:
        self.lease: Json = {"metadata": {}, "spec": {"holderIdentity": holder, "renewTime": "1"}}

    async def get(self, path: str) -> Json:
        if not self.lease:
            raise NotFound(404, "NotFound", path)
        return self.lease

    async def replace(self, path: str, body: Json) -> Json:
        self.lease = body
        return body


@pytest.mark.asyncio
@pytest.mark.parametrize(("before", "waits_s"), [(KUBE_SCHEDULER, 5.0), ("hami-operator-1_1b4e28ba", 0.0)])
async def test_after_a_kube_scheduler_its_follower_is_waited_for(before: str, waits_s: float) -> None:
    """kube-scheduler gives the lease up when it ends, and the operator beside it notices a little later."""
    now = 100.0
    leases = Leases(before)
    client: Any = leases
    elector = Elector(client, LeaseSettings("default"), monotonic=lambda: now)
    await elector._try()
    assert not elector.is_leader
    leases.lease["spec"]["holderIdentity"] = ""
    await elector._try()
    assert elector.leader == leases.lease["spec"]["holderIdentity"] != ""
    assert elector.is_leader == (not waits_s)
    now += 4.9
    await elector._try()
    assert elector.is_leader == (not waits_s)
    now += 0.2
    assert elector.is_leader
