"""Having kube-scheduler look at a pod again that it has given up for now."""

from __future__ import annotations

import datetime

from hami_operator.core.model import PodKey
from hami_operator.core.protocol import RETRY

from . import paths
from .client import Client


async def nudge(client: Client, pod: PodKey, at: float) -> None:
    """Write the time ``at`` (unix seconds) to the pod: an update of it puts it back into kube-scheduler's queue.

    kube-scheduler tries a pod that we refused again when it hears of a change of any node or pod. It hears nothing of
    quotas, and where nothing else happens it waits for five minutes (Kubernetes v1.37 pkg/scheduler/backend/queue,
    ``podMaxInUnschedulablePodsDuration``).

    Raises:
        KubeError: NotFound or Invalid when the pod is gone or another one has its name.
    """
    time = datetime.datetime.fromtimestamp(at, datetime.UTC)
    metadata = {"uid": pod.uid, "annotations": {RETRY: f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"}}
    await client.merge_patch(paths.pod(pod.namespace, pod.name), {"metadata": metadata})
