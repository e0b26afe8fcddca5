"""The pod condition ``PodScheduled``, which autoscalers and ``kubectl describe`` read. Direct mode only."""

from __future__ import annotations

import datetime
from typing import Literal

from hami_operator.core.model import PodKey

from . import paths
from .client import Client, Json

Reason = Literal["Unschedulable", "SchedulingGated"]


async def mark_unscheduled(
    client: Client, pod: PodKey, message: str, known: tuple[str, str] | None, reason: Reason = "Unschedulable"
) -> Json | None:
    """Set ``PodScheduled=False`` with reason and message.

    ``known`` is (reason, message) as the pod has them; nothing is written (and None returned) when they are the same.
    The answer is the pod, whose resourceVersion has changed: a Binding decided on the old one would be refused.

    Raises:
        KubeError: NotFound or Invalid when the pod is gone or another one has its name.
    """
    if known == (reason, message):
        return None
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    if known is None:
        now = datetime.datetime.now(datetime.UTC)
        condition["lastTransitionTime"] = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
    return await client.strategic_patch(paths.pod(pod.namespace, pod.name) + "/status", body)
