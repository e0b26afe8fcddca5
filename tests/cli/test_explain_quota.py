"""What ``explain`` says of quotas, over a cluster that was read."""

from __future__ import annotations

import io

from rich.console import Console

from hami_operator.cli.quotas import quotas_named, refusing, report, tell_quota, tell_refusing
from hami_operator.core.explain import explain
from hami_operator.core.quota import CORE_KIND, OWN_KIND, read_quota
from hami_operator.live import Live
from tests.builders import NOW, asking, bound, cluster, device, node

MEM = "limits.nvidia.com/gpumem"


def live() -> Live:
    """Two users of a quota, one pod that waits because of it, and one that fits."""
    running = [bound("small", "n1", "A,NVIDIA,1000,0:;"), bound("large", "n1", "A,NVIDIA,7000,0:;")]
    pending = [asking("waits", gpu=1, mem=4000), asking("fits", gpu=1, mem=500)]
    world = cluster([node("n1", [device("A")])], running)
    for kind, hard in ((OWN_KIND, {MEM: 10_000}), (CORE_KIND, {MEM: "1Ti", "limits.cpu": 4})):
        obj = {"metadata": {"name": "team", "namespace": "default"}, "spec": {"hard": hard}}
        world.quotas.put(read_quota(obj, kind, world.quotas.keys))
    return Live(world, {(pod.key.namespace, pod.key.name): pod for pod in (*running, *pending)})


def test_a_quota_tells_used_hard_its_largest_users_and_who_waits() -> None:
    here = live()
    own, core = quotas_named(here, "default", "team")
    found = report(here, own, "hami-scheduler")
    assert (found["kind"], found["used"], found["hard"]) == (OWN_KIND, {MEM: "8000"}, {MEM: "10000"})
    assert [one["pod"] for one in found["largest"]] == ["large", "small"]
    assert found["pending"] == 1
    assert found["waiting"] == [{"pod": "waits", "reason": "ResourceQuotaNotFit", "asked": {MEM: "4000"}}]
    assert report(here, core, "hami-scheduler")["pending"] == 0
    text = io.StringIO()
    tell_quota(Console(file=text, width=100), found)
    assert "ExtendedResourceQuota default/team" in text.getvalue()
    assert f"waits: {MEM} 4000" in text.getvalue()


def test_a_waiting_pod_is_told_asked_used_hard_and_the_largest_users() -> None:
    here = live()
    explanation = explain(here.pods["default", "waits"], here.cluster, NOW)
    (row,) = refusing(here, explanation.blocked)
    assert (row["quota"], row["key"]) == ("default/team", MEM)
    assert (row["asked"], row["used"], row["hard"]) == ("4000", "8000", "10000")
    assert row["largest"] == [{"pod": "large", "used": "7000"}, {"pod": "small", "used": "1000"}]
    text = io.StringIO()
    tell_refusing(Console(file=text, width=100), [row])
    assert f"ExtendedResourceQuota default/team: {MEM} asked 4000, used 8000, hard 10000" in text.getvalue()
    assert "large has 7000" in text.getvalue()


def test_a_pod_that_no_quota_refuses_has_no_such_lines() -> None:
    here = live()
    assert refusing(here, explain(here.pods["default", "fits"], here.cluster, NOW).blocked) == []
