"""When a node lock may be taken: the histories of HAMi's lock, and the right behaviour in each."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hami_operator.kube.takeover import Holder, Marks, Take, Wait, judge, read_holder

TIMEOUT = 300.0

JUDGED = [
    # a fresh lock, by its holder
    (Holder.GONE, 0, Wait(5)),  # its Allocate call may be under way
    (Holder.GONE, 4, Wait(1)),
    (Holder.GONE, 5, Take(Holder.GONE)),
    (Holder.TERMINAL, 0, Take(Holder.TERMINAL)),
    (Holder.FAILED, 0, Take(Holder.FAILED)),
    (Holder.ELSEWHERE, 0, Take(Holder.ELSEWHERE)),
    (Holder.LOOSE, 0, Take(Holder.LOOSE, fence=True)),
    (Holder.UNREADABLE, 0, Take(Holder.UNREADABLE, warn=True)),
    (Holder.SERVED, 0, Take(Holder.SERVED)),
    (Holder.RUNNING, 0, Wait(5)),  # its plugin may be about to say that it is served
    (Holder.RUNNING, 5, Take(Holder.RUNNING, warn=True)),
    (Holder.ALLOCATING, 0, Wait(600)),
    (Holder.OTHER, 0, Wait(300)),
    (Holder.UNNAMED, 0, Wait(300)),
    (Holder.IN_HAND, 0, Wait(math.inf)),
    # just before and at the expiry
    (Holder.OTHER, 299, Wait(1)),
    (Holder.OTHER, 300, Take(Holder.OTHER)),
    (Holder.UNNAMED, 600, Take(Holder.UNNAMED, warn=True)),
    (Holder.UNNAMED, 301, Take(Holder.UNNAMED)),
    (Holder.ALLOCATING, 300, Wait(300)),
    # just before and at twice the expiry: from anybody but ourselves, with a warning
    (Holder.ALLOCATING, 599, Wait(1)),
    (Holder.ALLOCATING, 600, Take(Holder.ALLOCATING, warn=True)),
    (Holder.OTHER, 600, Take(Holder.OTHER, warn=True)),
    (Holder.IN_HAND, 6000, Wait(math.inf)),
    # a clock that is ahead of ours
    (Holder.OTHER, -50, Wait(350)),
]


@pytest.mark.parametrize(("holder", "age", "verdict"), JUDGED)
def test_a_lock_is_judged_by_holder_and_age(holder: Holder, age: float, verdict: Take | Wait) -> None:
    assert judge(holder, age, TIMEOUT) == verdict


def pod(**changes: Any) -> dict[str, Any]:
    phase = changes.get("bind_phase")
    return {
        "metadata": {"uid": "u1", "annotations": {"hami.io/bind-phase": phase} if phase else None},
        "spec": {"schedulerName": changes.get("scheduler", "hami-scheduler"), "nodeName": changes.get("node")},
        "status": {"phase": changes.get("phase", "Pending")},
    }


HOLDERS = [
    (None, Holder.GONE),
    (pod(phase="Succeeded", node="n1"), Holder.TERMINAL),
    (pod(phase="Failed", node="n1", bind_phase="allocating"), Holder.TERMINAL),
    (pod(node="n1", bind_phase="failed"), Holder.FAILED),
    (pod(), Holder.LOOSE),
    (pod(bind_phase="allocating"), Holder.LOOSE),
    (pod(scheduler="another", bind_phase="allocating"), Holder.ALLOCATING),
    (pod(scheduler="another"), Holder.OTHER),
    (pod(node="n2", bind_phase="allocating"), Holder.ELSEWHERE),
    (pod(node="n1", bind_phase="allocating"), Holder.ALLOCATING),
    (pod(node="n1", bind_phase="success"), Holder.OTHER),
    (pod(node="n1"), Holder.OTHER),
    (pod(phase="Running", node="n1", bind_phase="success"), Holder.OTHER),
    ({"metadata": {"uid": "u1"}}, Holder.OTHER),
]


@pytest.mark.parametrize(("obj", "holder"), HOLDERS)
def test_a_holder_is_known_by_its_pod(obj: dict[str, Any] | None, holder: Holder) -> None:
    assert read_holder(obj, "n1", "hami-scheduler", frozenset()) is holder


@pytest.mark.parametrize("obj", [pod(), pod(node="n1", bind_phase="allocating"), pod(node="n2")])
def test_a_pod_that_we_are_binding_is_in_hand(obj: dict[str, Any]) -> None:
    assert read_holder(obj, "n1", "hami-scheduler", {"u1"}) is Holder.IN_HAND


def test_a_failed_pod_is_not_in_hand_any_more() -> None:
    assert read_holder(pod(bind_phase="failed"), "n1", "hami-scheduler", {"u1"}) is Holder.FAILED


OWN = Marks(served="vendor.com/assigned")
THEIRS = Marks(phase="vendor.com/bind-phase")


def marked(key: str, value: str, **changes: Any) -> dict[str, Any]:
    obj = pod(**{"node": "n1", "bind_phase": "allocating", **changes})
    return {**obj, "metadata": {**obj["metadata"], "annotations": {"hami.io/bind-phase": "allocating", key: value}}}


MARKED = [
    # a plugin that knows no lock, and sets a flag in the end
    (OWN, marked("vendor.com/assigned", "false"), Holder.ALLOCATING),
    (OWN, marked("vendor.com/assigned", "true"), Holder.SERVED),
    (OWN, marked("vendor.com/assigned", "yes"), Holder.ALLOCATING),
    (OWN, marked("vendor.com/assigned", "false", phase="Running"), Holder.RUNNING),
    (OWN, marked("vendor.com/assigned", "true", phase="Running"), Holder.SERVED),
    (OWN, marked("vendor.com/assigned", "true", phase="Failed"), Holder.TERMINAL),
    (OWN, marked("vendor.com/assigned", "true", node=None), Holder.LOOSE),  # left from elsewhere: it is not served here
    (OWN, marked("vendor.com/assigned", "true", node="n2"), Holder.ELSEWHERE),
    # a plugin that tells its phase under a key of its own
    (THEIRS, marked("vendor.com/bind-phase", "allocating"), Holder.ALLOCATING),
    (THEIRS, marked("vendor.com/bind-phase", "failed"), Holder.FAILED),
    (THEIRS, marked("vendor.com/bind-phase", "success"), Holder.OTHER),
]


@pytest.mark.parametrize(("marks", "obj", "holder"), MARKED)
def test_a_holder_is_known_by_what_its_plugin_writes(marks: Marks, obj: dict[str, Any], holder: Holder) -> None:
    assert read_holder(obj, "n1", "hami-scheduler", frozenset(), marks) is holder


def test_a_served_pod_is_not_in_hand_any_more() -> None:
    served = marked("vendor.com/assigned", "true")
    assert read_holder(served, "n1", "hami-scheduler", {"u1"}, OWN) is Holder.SERVED
