"""What people are told about pods and nodes: events, and the condition that ``kubectl describe`` and autoscalers read.

Reasons and sentences are those of HAMi v2.7.0 pkg/scheduler/event.go, since people search for them.
"""

from __future__ import annotations

import logging
from typing import Any

from hami_operator.core.model import Pod
from hami_operator.core.quota import OWN_KIND
from hami_operator.kube.binder import Why
from hami_operator.kube.client import Client
from hami_operator.kube.conditions import mark_unscheduled
from hami_operator.kube.events import Occurrence, Recorder, Regarding
from hami_operator.kube.lockbook import LockNews
from hami_operator.world import Problem

log = logging.getLogger(__name__)

FILTERING_SUCCEED = "FilteringSucceed"
FILTERING_FAILED = "FilteringFailed"
BINDING_SUCCEED = "BindingSucceed"
BINDING_FAILED = "BindingFailed"
ALLOCATION_NOT_WRITABLE = "AllocationNotWritable"
NODE_LOCKED = "NodeLocked"
NODE_LOCK_FORCED = "NodeLockForced"
UNSCHEDULABLE = "Unschedulable"

#: Of kinds that are not in the core group.
_API_VERSIONS = {"Lease": "coordination.k8s.io/v1", OWN_KIND: "hami-operator.io/v1alpha1"}


class Voice:
    """Tells. Nothing here waits but ``mark``, which writes the pod's condition."""

    def __init__(self, recorder: Recorder, client: Client) -> None:
        self._recorder = recorder
        self._client = client

    def placed(self, pod: Pod, message: str) -> None:
        """The pod fits; cards are reserved."""
        self._recorder.record(Occurrence(_pod(pod), FILTERING_SUCCEED, message))

    def refused(self, pod: Pod, message: str) -> bool:
        """The pod fits nowhere. Whether that is news: then ``mark`` is to write it as its condition."""
        if pod.unscheduled == (UNSCHEDULABLE, message):
            return False
        self._recorder.record(Occurrence(_pod(pod), FILTERING_FAILED, message, type="Warning"))
        return True

    async def mark(self, pod: Pod, message: str) -> dict[str, Any] | None:
        """Write the condition of a pod as it was seen last; its object, or None when it says so already.

        Raises:
            KubeError: Conflict when the pod has changed since.
        """
        return await mark_unscheduled(self._client, pod.key, message, pod.unscheduled, pod.resource_version)

    def bound(self, pod: Pod, node: str) -> None:
        """The pod is bound."""
        text = f"Successfully binding node [{node}] to {pod.key}"
        self._recorder.record(Occurrence(_pod(pod), BINDING_SUCCEED, text, "Binding"))

    def not_bound(self, pod: Pod, why: Why, message: str) -> None:
        """The decision could not be carried out; the pod is decided again."""
        reason = ALLOCATION_NOT_WRITABLE if why is Why.NOT_WRITABLE else BINDING_FAILED
        self._recorder.record(Occurrence(_pod(pod), reason, message, "Binding", "Warning"))

    def problem(self, problem: Problem) -> None:
        """Something about an object that a person should look at."""
        version = _API_VERSIONS.get(problem.kind, "v1")
        regarding = Regarding(problem.kind, problem.namespace, problem.name, problem.uid, version)
        self._recorder.record(Occurrence(regarding, problem.reason, problem.message, "Observing", "Warning"))
        log.warning("%s %s/%s: %s", problem.kind, problem.namespace, problem.name, problem.message)

    def lock(self, news: LockNews) -> None:
        """A pod waits for a node lock, or one was taken by force."""
        if news.pod is None:
            log.warning("%s", news.text)
            return
        regarding = Regarding("Pod", news.pod.namespace, news.pod.name, news.pod.uid)
        if news.forced:
            self._recorder.record(Occurrence(regarding, NODE_LOCK_FORCED, news.text, "Binding", "Warning"))
        else:
            self._recorder.record(Occurrence(regarding, NODE_LOCKED, news.text, "Binding"))


def _pod(pod: Pod) -> Regarding:
    return Regarding("Pod", pod.key.namespace, pod.key.name, pod.key.uid)
