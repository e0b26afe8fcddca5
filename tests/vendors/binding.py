"""What is written to a pod that is bound on the only node there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hami_operator.core.binding import binding_annotations
from hami_operator.core.cluster import Cluster
from hami_operator.core.model import Device, Node, Pod, Share
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import Outlook, Profile
from tests.builders import NOW, cluster

#: Unix nanoseconds of ``NOW``.
NANOSECONDS = "1760000000000000000"


def capacity_node(name: str, **amounts: int) -> Node:
    """A node that has these amounts."""
    texts = {resource: str(amount) for resource, amount in amounts.items()}
    return read_node({"metadata": {"name": name}, "status": {"capacity": texts, "allocatable": texts}})


def pod_of(name: str, *containers: Mapping[str, Any], annotations: Mapping[str, str] | None = None, **spec: Any) -> Pod:
    """A pod whose containers have these limits, none where empty."""
    made = [
        {"name": f"c{number}", "resources": {"limits": {key: str(value) for key, value in limits.items()}}}
        for number, limits in enumerate(containers)
    ]
    metadata = {"name": name, "namespace": "default", "uid": name, "annotations": dict(annotations or {})}
    return read_pod({"metadata": metadata, "spec": {"containers": made, **spec}})


def world(profile: Profile, node: Node) -> Cluster:
    return cluster([node], profiles=[profile])


def bind(there: Cluster, profile: Profile, pod: Pod) -> dict[str, str]:
    """Place the pod and reserve its cards; the annotations of its Binding that are the family's own."""
    decision = schedule(pod, there, NOW)
    assert isinstance(decision, Placement), decision
    there.ledger.assume(pod, decision.node, decision.allocation)
    entry = there.inventory.get(decision.node)
    assert entry is not None
    written = binding_annotations(pod, entry, decision.allocation, [profile], NOW)
    return {key: value for key, value in written.items() if profile.writes(key)}


def together(profile: Profile, given: Sequence[Sequence[Device]]) -> float:
    """The family's score of a placement that gives these cards, by container."""
    shares = [[Share(card.uuid, profile.key, 0, 0) for card in cards] for cards in given]
    devices = {card.uuid: card for cards in given for card in cards}
    return profile.hooks.node_score(Outlook(pod_of("p"), Node("n1"), "binpack", devices, {}, shares))


def refusal(there: Cluster, pod: Pod) -> str:
    """Why the only node refuses the pod."""
    decision = schedule(pod, there, NOW)
    assert not isinstance(decision, Placement), decision
    (verdict,) = decision.kept.verdicts.values()
    return ", ".join(str(refusal) for refusal in verdict.refusals)
