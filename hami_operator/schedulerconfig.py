"""The KubeSchedulerConfiguration of the driver ``extender``, generated from the settings and the families' names. Pure.

A managed name that is missing there would have kube-scheduler count cards against what nodes advertise, or place such a
pod without asking us, hence the generation.
"""

from __future__ import annotations

from typing import Any

from hami_operator.config import Settings
from hami_operator.core.vendor import managed_names


def render(settings: Settings) -> dict[str, Any]:
    """The whole object.

    Every node is judged (``percentageOfNodesToScore``): the cards may be on few nodes, and a part of the nodes that are
    right in all else need have none of them. The lease is the operator's own, so only one driver is at work at a time.
    """
    lease, extender = settings.leader, settings.extender
    host = f"[{extender.host}]" if ":" in extender.host else extender.host
    names = managed_names(settings.devices.profiles())
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {
            "leaderElect": True,
            "resourceNamespace": lease.namespace,
            "resourceName": lease.name,
            "leaseDuration": f"{lease.lease_seconds}s",
            "renewDeadline": f"{lease.renew_deadline_seconds:g}s",
            "retryPeriod": f"{lease.retry_seconds:g}s",
        },
        "percentageOfNodesToScore": 100,
        "profiles": [{"schedulerName": settings.scheduler_name}],
        "extenders": [
            {
                "urlPrefix": f"http://{host}:{extender.port}",
                "filterVerb": "filter",
                "prioritizeVerb": "prioritize",
                "preemptVerb": "preempt",
                "bindVerb": "bind",
                "weight": extender.weight,
                "httpTimeout": f"{extender.timeout_seconds:g}s",
                "nodeCacheCapable": True,
                "managedResources": [{"name": name, "ignoredByScheduler": True} for name in names],
            }
        ],
    }
