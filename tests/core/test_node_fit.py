"""What a pod asks of a node beside cards, by kube-scheduler's rules; what is not judged is named."""

from __future__ import annotations

from typing import Any

import pytest

from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Node, Pod, Requirement, Resources, SelectorTerm
from hami_operator.core.node_fit import Claim, Surroundings, node_refusals, pod_refusals
from hami_operator.core.objects import read_pod
from hami_operator.core.reasons import refusals_text
from hami_operator.core.record import NodeUsage
from tests.builders import NOW, NVIDIA, container, node, pod, pod_object

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
HOSTNAME = "kubernetes.io/hostname"


def refused(asking: Pod, on: Node, *running: Pod, around: Surroundings | None = None) -> str:
    ledger = Ledger([NVIDIA])
    for item in running:
        ledger.observe(item, NOW)
    return refusals_text(node_refusals(asking, on, ledger.usage(on.name), around or Surroundings()))


def labelled(**labels: str) -> Node:
    return node("n1", metadata={"labels": labels})


def test_a_plain_pod_fits_a_plain_node() -> None:
    assert refused(pod(), node("n1")) == ""


def test_a_node_that_is_not_ready_takes_nothing() -> None:
    assert refused(pod(), node("n1", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})) == "NodeNotReady"


def test_a_cordoned_node_takes_only_pods_that_tolerate_it() -> None:
    cordoned = node("n1", spec={"unschedulable": True})
    assert refused(pod(), cordoned) == "NodeUnschedulable"
    tolerant = pod(tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])
    assert refused(tolerant, cordoned) == ""


def test_the_node_selector_must_hold_whole() -> None:
    asked = pod(nodeSelector={"zone": "a", "disk": "ssd"})
    assert refused(asked, labelled(zone="a", disk="ssd")) == ""
    assert refused(asked, labelled(zone="a")) == "NodeSelectorMismatch (spec.nodeSelector disk=ssd)"


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "zone", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "zone", "operator": "In", "values": ["b"]}, False),
        ({"key": "absent", "operator": "In", "values": [""]}, False),
        ({"key": "zone", "operator": "NotIn", "values": ["b"]}, True),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "absent", "operator": "NotIn", "values": ["a"]}, True),
        ({"key": "zone", "operator": "Exists"}, True),
        ({"key": "absent", "operator": "Exists"}, False),
        ({"key": "zone", "operator": "DoesNotExist"}, False),
        ({"key": "absent", "operator": "DoesNotExist"}, True),
        ({"key": "cards", "operator": "Gt", "values": ["7"]}, True),
        ({"key": "cards", "operator": "Gt", "values": ["8"]}, False),
        ({"key": "cards", "operator": "Lt", "values": ["9"]}, True),
        ({"key": "zone", "operator": "Gt", "values": ["1"]}, False),
        ({"key": "cards", "operator": "Gt", "values": ["1", "2"]}, False),
        ({"key": "zone", "operator": "Near", "values": ["a"]}, False),
    ],
)
def test_an_expression_of_the_node_affinity_holds_or_not(expression: dict[str, Any], fits: bool) -> None:
    terms = [{"matchExpressions": [expression]}]
    asked = pod(affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}})
    assert refused(asked, labelled(zone="a", cards="8")) == ("" if fits else "NodeAffinityMismatch")


ZONED = {"key": "zone", "operator": "Exists"}
STRANGE = {"key": "x", "operator": "Exists"}


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        ([{"matchExpressions": [STRANGE]}, {"matchExpressions": [ZONED]}], True),
        ([{"matchExpressions": [ZONED, STRANGE]}], False),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}], True),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}], False),
        ([{}], False),
        ([], False),
    ],
)
def test_one_term_of_the_node_affinity_must_hold_whole_and_an_empty_one_never_does(
    terms: list[Any], fits: bool
) -> None:
    asked = pod(affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}})
    assert refused(asked, labelled(zone="a")) == ("" if fits else "NodeAffinityMismatch")


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "yes"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"value": "yes"}, False),
    ],
)
def test_a_toleration_matches_the_taint_or_not(toleration: dict[str, str], fits: bool) -> None:
    tainted = node("n1", spec={"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]})
    wanted = "" if fits else "TaintNotTolerated (gpu=yes:NoSchedule)"
    assert refused(pod(tolerations=[toleration]), tainted) == wanted


def test_a_soft_taint_keeps_nobody_away_and_a_valueless_one_is_named_as_such() -> None:
    soft = {"key": "a", "effect": "PreferNoSchedule"}
    assert refused(pod(), node("n1", spec={"taints": [soft]})) == ""
    hard = {"key": "b", "effect": "NoExecute"}
    assert refused(pod(), node("n1", spec={"taints": [soft, hard]})) == "TaintNotTolerated (b:NoExecute)"


# -- amounts -----------------------------------------------------------------------------------------------------

ALLOCATABLE = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi", "pods": "2", "example.com/fpga": "1"}


@pytest.mark.parametrize(
    ("short", "reason"),
    [
        ({"cpu": "2", "memory": "1Gi"}, ""),
        ({"cpu": "2001m"}, "InsufficientCpu (asked 2001, free 2000 of 2000)"),
        ({"memory": "1025Mi"}, "InsufficientMemory (asked 1074790400, free 1073741824 of 1073741824)"),
        (
            {"ephemeral-storage": "2Gi"},
            "InsufficientEphemeralStorage (asked 2147483648, free 1073741824 of 1073741824)",
        ),
        ({"example.com/fpga": "2"}, "InsufficientExtendedResource (example.com/fpga: asked 2, free 1 of 1)"),
        ({"example.com/unknown": "2"}, ""),
    ],
)
def test_an_amount_must_be_free(short: dict[str, str], reason: str) -> None:
    assert refused(pod("p", container("a", **short)), node("n1", status={"allocatable": ALLOCATABLE})) == reason


def test_running_pods_use_amounts_and_places() -> None:
    on = node("n1", status={"allocatable": ALLOCATABLE})
    running = [pod(f"r{number}", container("a", cpu="750m"), nodeName="n1") for number in range(2)]
    assert refused(pod("p", container("a", cpu="1")), on, running[0]) == ""
    assert refused(pod("p", container("a", cpu="1")), on, *running) == (
        "InsufficientCpu (asked 1000, free 500 of 2000), TooManyPods (asked 1, free 0 of 2)"
    )


def test_a_reserve_is_left_free() -> None:
    on = node("n1", status={"allocatable": ALLOCATABLE})
    around = Surroundings(reserve=Resources(cpu_milli=500, memory_bytes=2**29))
    text = refused(pod("p", container("a", cpu="1501m", memory="600Mi")), on, around=around)
    assert text.startswith("InsufficientCpu (asked 1501, free 1500 of 1500), InsufficientMemory")


def test_a_node_that_tells_no_amounts_is_not_bounded_by_them() -> None:
    assert refused(pod("p", container("a", cpu="1000")), node("n1")) == ""


# -- other pods of the node --------------------------------------------------------------------------------------


def serving(name: str, **port: Any) -> Pod:
    return pod(name, {"name": "a", "ports": [port]}, nodeName="n1")


@pytest.mark.parametrize(
    ("port", "fits"),
    [
        ({"hostPort": 80}, False),
        ({"hostPort": 81}, True),
        ({"hostPort": 80, "protocol": "UDP"}, True),
        ({"hostPort": 80, "hostIP": "10.0.0.1"}, False),
    ],
)
def test_a_host_port_is_given_once(port: dict[str, Any], fits: bool) -> None:
    text = refused(serving("p", **port), node("n1"), serving("r", hostPort=80))
    assert text == ("" if fits else "HostPortConflict (hostPort 80/TCP)")


def test_host_ports_on_different_addresses_live_side_by_side() -> None:
    one, two = serving("p", hostPort=80, hostIP="10.0.0.1"), serving("r", hostPort=80, hostIP="10.0.0.2")
    assert refused(one, node("n1"), two) == ""


def keeping_away(topology: str, selector: dict[str, Any] | None, namespace: str = "default", **term: Any) -> Pod:
    rule = {"topologyKey": topology, **({"labelSelector": selector} if selector is not None else {}), **term}
    affinity = {"podAntiAffinity": {REQUIRED: [rule]}}
    obj = pod_object("r", metadata={"uid": "r", "namespace": namespace}, affinity=affinity, nodeName="n1")
    return read_pod(obj)


APP = {"matchLabels": {"app": "x"}}
CONFLICT = "PodAntiAffinityConflict (pod {}/r)"
UNJUDGED = "UnsupportedConstraint (pod default/r keeps away by zone, which needs the extender mode)"


@pytest.mark.parametrize(
    ("running", "reason"),
    [
        (keeping_away(HOSTNAME, APP), CONFLICT.format("default")),
        (keeping_away(HOSTNAME, {}), CONFLICT.format("default")),
        (keeping_away(HOSTNAME, None), ""),
        (keeping_away(HOSTNAME, {"matchLabels": {"app": "y"}}), ""),
        (keeping_away(HOSTNAME, {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]}), ""),
        (keeping_away(HOSTNAME, APP, namespace="other"), ""),
        (keeping_away(HOSTNAME, APP, namespace="other", namespaces=["default"]), CONFLICT.format("other")),
        (keeping_away(HOSTNAME, APP, namespace="other", namespaceSelector={}), CONFLICT.format("other")),
        (keeping_away("zone", APP), UNJUDGED),
    ],
)
def test_running_pods_keep_others_away_by_their_labels(running: Pod, reason: str) -> None:
    asked = read_pod(pod_object("p", metadata={"labels": {"app": "x"}}))
    assert refused(asked, node("n1"), running) == reason


# -- volumes, and what is not judged -----------------------------------------------------------------------------


def mounting(claim: str) -> Pod:
    return pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": claim}}])


def test_a_bound_claim_goes_where_its_volume_is_reached() -> None:
    terms = (SelectorTerm((Requirement("zone", "In", ("a",)),)),)
    around = Surroundings(claims={("default", "local"): Claim(True, terms), ("default", "any"): Claim(True)})
    assert pod_refusals(mounting("local"), around) == ()
    assert refused(mounting("local"), labelled(zone="a"), around=around) == ""
    assert refused(mounting("local"), labelled(zone="b"), around=around) == "VolumeNodeConflict (claim 'local')"
    assert refused(mounting("any"), labelled(zone="b"), around=around) == ""


@pytest.mark.parametrize("claims", [{}, {("default", "data"): Claim(False)}, {("other", "data"): Claim(True)}])
def test_a_claim_that_is_not_bound_is_not_judged(claims: dict[tuple[str, str], Claim]) -> None:
    (refusal,) = pod_refusals(mounting("data"), Surroundings(claims=claims))
    assert str(refusal) == (
        "UnsupportedConstraint (spec.volumes: claim 'data' is not bound; unbound claims need the extender mode)"
    )


def test_every_constraint_that_is_not_judged_is_named() -> None:
    asked = pod(resourceClaims=[{"name": "c"}], tolerations=[{"key": "a", "operator": "Gt", "value": "1"}])
    assert [str(refusal) for refusal in pod_refusals(asked, Surroundings())] == [
        "UnsupportedConstraint (spec.resourceClaims needs the extender mode)",
        "UnsupportedConstraint (spec.tolerations.operator Gt needs the extender mode)",
    ]


def test_all_reasons_of_a_node_are_told() -> None:
    bad = node("n1", spec={"unschedulable": True, "taints": [{"key": "a", "effect": "NoSchedule"}]})
    asked = pod(nodeSelector={"zone": "a"})
    assert refusals_text(node_refusals(asked, bad, NodeUsage(), Surroundings())) == (
        "NodeUnschedulable, NodeSelectorMismatch (spec.nodeSelector zone=a), TaintNotTolerated (a:NoSchedule)"
    )
