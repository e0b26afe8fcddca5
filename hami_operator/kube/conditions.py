"""The pod condition ``PodScheduled``, which autoscalers and ``kubectl describe`` read. Direct mode only."""

from __future__ import annotations

import datetime

from hami_operator.core.model import PodKey

from . import paths
from .client import Client, Json

UNSCHEDULABLE = "Unschedulable"


async def mark_unscheduled(
    client: Client, pod: PodKey, message: str, known: tuple[str, str] | None, version: str = ""
) -> Json | None:
    """Set ``PodScheduled=False`` with reason ``Unschedulable`` and the message.

    ``known`` is (reason, message) as the pod has them; nothing is written (and None returned) when they are the same.
    With ``version`` only a pod of that resourceVersion is written: one that was bound meanwhile must not say that it
    waits.
    The answer is the pod, whose resourceVersion has changed: a Binding decided on the old one would be refused.

    Raises:
        KubeError: NotFound or Invalid when the pod is gone or another one has its name, Conflict when it has changed.
    """
    if known == (UNSCHEDULABLE, message):
        return None
    condition = {"type": "PodScheduled", "status": "False", "reason": UNSCHEDULABLE, "message": message}
    if known is None:
        now = datetime.datetime.now(datetime.UTC)
        condition["lastTransitionTime"] = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    metadata = {"uid": pod.uid, **({"resourceVersion": version} if version else {})}
    body = {"metadata": metadata, "status": {"conditions": [condition]}}
    return await client.strategic_patch(paths.pod(pod.namespace, pod.name) + "/status", body)
