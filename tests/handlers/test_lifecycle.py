"""Kopf as we set it: it never gives up, and writes nothing to anybody's objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hami_operator.handlers import lifecycle


def test_the_sensor_tries_for_ever_and_never_waits_for_long() -> None:
    pauses = lifecycle.settings().networking.error_backoffs
    assert isinstance(pauses, Iterable)
    first = list(itertools.islice(pauses, 10_000))
    assert len(first) == 10_000
    assert max(first) <= 5.0
    assert next(iter(pauses)) == first[0], "each request begins anew"


def test_kopf_posts_no_events_and_takes_part_in_no_peering() -> None:
    settings = lifecycle.settings()
    assert settings.peering.standalone
    assert not settings.posting.enabled
