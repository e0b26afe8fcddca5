"""Settings of the lease."""

from __future__ import annotations

import pytest

from hami_operator.kube.leases import LeaseSettings


def test_lease_times_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"retry 2 s < renew deadline 20 s < duration 15 s"):
        LeaseSettings("default", renew_deadline_s=20, retry_s=2)


def test_every_process_has_an_identity_of_its_own() -> None:
    assert LeaseSettings("default").identity != LeaseSettings("default").identity
