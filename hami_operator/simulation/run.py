"""A scenario through the code that decides live: admission, decision, reservation, one candidate after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hami_operator.config import Settings
from hami_operator.core.cluster import Cluster
from hami_operator.core.inventory import Inventory
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Pod, Resources
from hami_operator.core.node_fit import FOR_PEOPLE, OURS, Surroundings
from hami_operator.core.objects import read_pod
from hami_operator.core.quantity import milli, plain
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import Profile

from .checker import annotation_sentence, check_cards, check_pods
from .documents import Json
from .families import Families
from .patch import apply_patch
from .quotas import put_quotas, quota_rows
from .result import API_VERSION, KIND, Result, Row, admission_row, device_rows, placement_row, pod_row, refusal_row
from .scenario import Candidate, Scenario


@dataclass(frozen=True, slots=True)
class Admitted:
    """Admission lets a pod in, with these JSON patch operations and sentences for its user."""

    operations: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Denied:
    """Admission refuses a pod."""

    message: str


#: Judges a Pod object in a namespace with these labels; None: admission is not asked about this pod.
Admit = Callable[[Json, Mapping[str, str]], Admitted | Denied | None]

#: Makes admission for the families in force.
Admission = Callable[[tuple[Profile, ...]], Admit]


class Simulation:
    """The world of a scenario, ready to take its candidates.

    ``impossible`` are sentences about what no cluster could look like; a caller who goes on in spite of them gets the
    operator's own quarantine rules. ``run`` is called once.

    Raises:
        ScenarioError: the device configuration of the scenario can't be used, or a quota has a field of a wrong type.
    """

    def __init__(self, scenario: Scenario, settings: Settings, families: Families, admission: Admission) -> None:
        self.impossible = list(scenario.impossible)
        self._scenario = scenario
        self._settings = settings
        self._profiles = families.in_force(scenario.device_configs, self.impossible)
        self._admit = admission(self._profiles)
        self._cluster = Cluster(
            profiles=self._profiles,
            policies=settings.policies.values(),
            inventory=Inventory(self._profiles),
            ledger=Ledger(self._profiles),
            around=_surroundings(settings, scenario),
            node_fit=FOR_PEOPLE if settings.driver == "extender" else OURS,
        )
        self._warnings = put_quotas(scenario.quotas, self._cluster)
        self._fill()

    def _fill(self) -> None:
        """Take over the world as the sensors do, and look whether it can be true."""
        inventory, ledger = self._cluster.inventory, self._cluster.ledger
        for entry, node in self._scenario.nodes:
            problems = inventory.update(node).problems
            self.impossible += (annotation_sentence(entry, node.annotations, text) for text in problems.values())
        for item in self._scenario.pods:
            problems = ledger.observe(item.pod, 0.0).problems
            self.impossible += (
                annotation_sentence(item.entry, item.pod.annotations, text) for text in dict.fromkeys(problems.values())
            )
        self.impossible += check_pods(self._scenario.pods, inventory, ledger)
        self.impossible += check_cards(self._scenario.nodes, inventory, ledger)

    def run(self, now: float) -> Result:
        """Take the candidates in queue order. ``now`` (unix seconds) is the time that lands in annotations."""
        queue = sorted(
            self._scenario.candidates,
            key=lambda item: (-item.priority, now if item.created is None else item.created),
        )
        rows = [self._take(candidate, now) for candidate in queue]
        cluster = self._cluster
        content = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "pods": rows,
            "quotas": quota_rows(cluster),
            "devices": device_rows(cluster.inventory, cluster.ledger, self._profiles),
        }
        complete = all(row["outcome"] in ("placed", "ignored") for row in rows)
        return Result(content, complete, tuple(self._warnings))

    def _take(self, candidate: Candidate, now: float) -> Row:
        pod, namespaces = candidate.pod, self._scenario.namespaces
        content = candidate.entry.content
        verdict = self._admit(content, namespaces.get(pod.key.namespace, {}))
        if isinstance(verdict, Denied):
            return pod_row(pod, "denied", verdict.message)
        admission: Row = {}
        if verdict is not None:
            pod = read_pod(apply_patch(content, verdict.operations))
            admission = admission_row(pod.scheduler_name, verdict.operations)
            self._warnings += (f"{candidate.entry}: {warning}" for warning in verdict.warnings)
        if pod.scheduler_name != self._settings.scheduler_name:
            return pod_row(pod, "ignored", _not_ours(pod, asked=verdict is not None)) | admission
        if pod.node_name:
            message = f"the pod has its node already: spec.nodeName is {pod.node_name!r}"
            return pod_row(pod, "ignored", message) | admission
        if pod.deleting:
            return pod_row(pod, "ignored", "the pod is being deleted") | admission
        if pod.constraints.gates:
            gates = ", ".join(pod.constraints.gates)
            return pod_row(pod, "unschedulable", f"the pod waits for its scheduling gates: {gates}") | admission
        return self._decide(pod, admission, now)

    def _decide(self, pod: Pod, admission: Row, now: float) -> Row:
        cluster = self._cluster
        decision = schedule(pod, cluster, now)
        if not isinstance(decision, Placement):
            return pod_row(pod, "unschedulable", decision.message) | admission | refusal_row(decision)
        entry = cluster.inventory.get(decision.node)
        assert entry is not None, "a node that was chosen is known"
        row = pod_row(pod, "placed", decision.message) | admission
        row |= placement_row(pod, decision, entry, self._profiles, now)
        cluster.ledger.assume(pod, decision.node, decision.allocation)
        return row


def _not_ours(pod: Pod, *, asked: bool) -> str:
    if not asked:
        return f"admission is not asked about this pod, and its scheduler is {pod.scheduler_name}"
    return (
        f"no container asks for a managed resource, or the pod chose its scheduler: it is left to {pod.scheduler_name}"
    )


def _surroundings(settings: Settings, scenario: Scenario) -> Surroundings:
    reserve = Resources(cpu_milli=milli(settings.reserve.cpu), memory_bytes=plain(settings.reserve.memory))
    return Surroundings(reserve=reserve, claims=scenario.claims)
