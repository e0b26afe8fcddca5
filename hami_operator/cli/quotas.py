"""What ``explain`` says of quotas: used of hard, who uses most, who waits, and the numbers behind a refusal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from hami_operator.core.quota import Quota
from hami_operator.core.quotabook import allowances
from hami_operator.core.quotareport import Waiting, largest, status_of
from hami_operator.core.schedule import Blocked, Unschedulable, schedule
from hami_operator.handlers.pods import is_pending
from hami_operator.live import Live

from .paper import grid, words


def quotas_named(live: Live, namespace: str, name: str) -> list[Quota]:
    """The objects of that name, ours and core's."""
    found = [quota for quota in live.cluster.quotas.of(namespace) if quota.id.name == name]
    return sorted(found, key=lambda quota: quota.id.kind)


def report(live: Live, quota: Quota, scheduler_name: str) -> dict[str, Any]:
    """An object as its status would be now; ``waiting`` comes from deciding anew about every pending pod."""
    records = list(live.cluster.ledger.space(quota.id.namespace).pods.values())
    waiting = _waiting(live, quota.id.namespace, scheduler_name)
    status = status_of(quota, records, waiting, {}, time.time())
    del status["observedGeneration"]
    conditions = {one["type"]: one for one in status.pop("conditions")}
    ready = conditions["Ready"]
    problem = {} if ready["status"] == "True" else {"problem": f"{ready['reason']}: {ready['message']}"}
    return {"kind": quota.id.kind, "namespace": quota.id.namespace, "name": quota.id.name, **problem, **status}


def _waiting(live: Live, namespace: str, scheduler_name: str) -> Iterable[Waiting]:
    for pod in live.pods.values():
        if pod.key.namespace == namespace and is_pending(pod, scheduler_name):
            decision = schedule(pod, live.cluster, time.time())
            if isinstance(decision, Unschedulable) and decision.blocked:
                yield Waiting.of(pod, decision.blocked)


def tell_quota(console: Console, found: Mapping[str, Any]) -> None:
    """An object's report for people."""
    console.print(words(f"{found['kind']} {found['namespace']}/{found['name']}", "bold"))
    if "problem" in found:
        console.print(words(found["problem"], "red"))
    table = grid("key", "used", "hard", numbers={"used", "hard"})
    for key, used in found["used"].items():
        table.add_row(key, used, found["hard"].get(key, "unreadable, blocks"))
    console.print(table)
    _tell_pods(console, "largest users", [(one["pod"], one["used"]) for one in found["largest"]])
    _tell_pods(
        console, f"waiting because of it: {found['pending']}", [(one["pod"], one["asked"]) for one in found["waiting"]]
    )


def _tell_pods(console: Console, title: str, pods: list[tuple[str, Mapping[str, str]]]) -> None:
    if not pods:
        return
    console.print()
    console.print(words(title, "dim"))
    for name, amounts in pods:
        console.print(words(f"  {name}: {_amounts(amounts)}"))


def _amounts(amounts: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {amount}" for key, amount in amounts.items())


# -- behind a refusal --------------------------------------------------------------------------------------------


def refusing(live: Live, blocked: Iterable[Blocked]) -> list[dict[str, Any]]:
    """Per object and key that refuses a pod: asked, used, hard, and the largest users."""
    return [row for one in blocked for row in _refusing(live, one)]


def _refusing(live: Live, blocked: Blocked) -> Iterable[dict[str, Any]]:
    quota = live.cluster.quotas.get(blocked.quota)
    if quota is None:
        return
    records = list(live.cluster.ledger.space(blocked.quota.namespace).pods.values())
    users = largest(quota, records)
    for allowance in allowances(quota, records):
        key = allowance.key.text
        if key in blocked.asked:
            yield {
                "quota": str(blocked.quota),
                "kind": blocked.quota.kind,
                "key": key,
                "asked": blocked.asked[key],
                "used": allowance.key.shown(allowance.used),
                "hard": allowance.key.shown(allowance.hard),
                "largest": [{"pod": name, "used": used[key]} for name, used in users if key in used],
            }


def tell_refusing(console: Console, rows: Iterable[Mapping[str, Any]]) -> None:
    """The same for people."""
    for row in rows:
        console.print()
        numbers = f"asked {row['asked']}, used {row['used']}, hard {row['hard']}"
        console.print(words(f"{row['kind']} {row['quota']}: {row['key']} {numbers}", "yellow"))
        for user in row["largest"]:
            console.print(words(f"  {user['pod']} has {user['used']}"))
