"""Every fault that doctor knows: found under its title, named, and with what mends it; and a sound cluster is sound."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hami_operator.config import Settings
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_node
from hami_operator.doctor import CHECKS, Facts, examine
from hami_operator.doctor.installation import OUR_WEBHOOK, RIGHTS
from hami_operator.live import Live
from hami_operator.schedulerconfig import render
from tests.builders import NOW, asking, bound, cluster, device, node_object, pod, pod_object
from tests.manifests.test_manifests import RIGHTS as GRANTED
from webhook.configuration import match_expression

ROOT = Path(__file__).parents[1]
CRD = yaml.safe_load((ROOT / "crds" / "extendedresourcequotas.yaml").read_text())

Json = dict[str, Any]


def time_text(age: float) -> str:
    return datetime.datetime.fromtimestamp(NOW - age, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deployment(name: str, image: str = "hami-operator:1", namespace: str = "hami-system", **labels: str) -> Json:
    template = {"spec": {"containers": [{"name": "main", "image": image}]}}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": metadata, "spec": {"replicas": 2, "template": template}}


def sound() -> Facts:
    """An installation in which nothing is wrong: a node, a pod that holds a card, one that waits."""
    pods = [bound("holds", "n1", "GPU-1,NVIDIA,100,0:;", gpu=1, mem=100), asking("waits", gpu=1, mem=100)]
    handshake = {"hami.io/node-handshake": f"Reported {time_text(10).replace('-', '.')[:10]} {time_text(10)[11:19]}"}
    world = cluster([read_node(node_object("n1", [device("GPU-1")], metadata={"annotations": handshake}))], pods)
    conditions = [{"name": "asks", "expression": match_expression(Settings().devices.profiles())}]
    webhook = {
        "name": OUR_WEBHOOK,
        "clientConfig": {"caBundle": "Q0E="},
        "failurePolicy": "Fail",
        "matchConditions": conditions,
    }
    return Facts(
        live=Live(world, {(pod.key.namespace, pod.key.name): pod for pod in pods}),
        namespace="hami-system",
        scheduler_name="hami-scheduler",
        now=NOW,
        deployments=[deployment(name) for name in ("hami-operator", "hami-webhook", "hami-webhook-certs")],
        webhooks=[{"metadata": {"name": "hami-webhook"}, "webhooks": [webhook]}],
        admitted={"spec": {"schedulerName": "hami-scheduler"}},
        lease={"spec": {"holderIdentity": "one", "renewTime": time_text(3), "leaseDurationSeconds": 15}},
        crd=copy.deepcopy(CRD),
    )


def with_node(facts: Facts, *devices: Any, **annotations: str) -> None:
    """Another node, ``n2``; ``lock``, ``handshake``, ``register`` stand for their annotations."""
    names = {"lock": "hami.io/mutex.lock", "handshake": "hami.io/node-handshake"}
    names["own_lock"] = "hami-operator.io/aws-neuron.lock"
    names["register"] = "hami.io/node-nvidia-register"
    parts: Json = {"metadata": {"annotations": {names[key]: text for key, text in annotations.items()}}}
    facts.live.cluster.inventory.update(read_node(node_object("n2", devices, **parts)))


def with_pod(facts: Facts, added: Pod) -> None:
    facts.live.pods[added.key.namespace, added.key.name] = added
    facts.live.cluster.ledger.observe(added, NOW)


# -- faults ------------------------------------------------------------------------------------------------------


def hami_runs(facts: Facts) -> None:
    labels = {"app.kubernetes.io/component": "hami-scheduler"}
    facts.deployments = [*facts.deployments, deployment("hami-scheduler", "hami:2", "kube-system", **labels)]


def hamis_webhook(facts: Facts) -> None:
    theirs = {"metadata": {"name": "hami-old"}, "webhooks": [{"name": "vgpu.hami.io", "clientConfig": {}}]}
    facts.webhooks = [*facts.webhooks, theirs]


def no_webhook(facts: Facts) -> None:
    facts.webhooks = []


def no_ca(facts: Facts) -> None:
    facts.webhooks[0]["webhooks"][0]["clientConfig"] = {}


def lenient(facts: Facts) -> None:
    facts.webhooks[0]["webhooks"][0]["failurePolicy"] = "Ignore"


def name_not_matched(facts: Facts) -> None:
    condition = match_expression(facts.live.cluster.profiles).replace("'nvidia.com/gpucores'", "'example.org/cores'")
    facts.webhooks[0]["webhooks"][0]["matchConditions"] = [{"name": "asks", "expression": condition}]


def answered(text: str) -> Callable[[Facts], None]:
    def fault(facts: Facts) -> None:
        facts.admission, facts.admitted = text, {}

    return fault


def passed_by(facts: Facts) -> None:
    facts.admitted = {"spec": {"schedulerName": "default-scheduler"}}


def no_leader(facts: Facts) -> None:
    facts.lease = None


def old_lease(facts: Facts) -> None:
    assert facts.lease is not None
    facts.lease["spec"]["renewTime"] = time_text(100)


def no_rights(facts: Facts) -> None:
    facts.missing_rights = ["patch nodes", "create pods/binding"]


def no_crd(facts: Facts) -> None:
    facts.crd = None


def other_version(facts: Facts) -> None:
    assert facts.crd is not None
    facts.crd["spec"]["versions"][0]["name"] = "v1alpha0"


def old_crd(facts: Facts) -> None:
    assert facts.crd is not None
    schema = facts.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"]["waiting"]


def mixed(facts: Facts) -> None:
    facts.deployments = [*facts.deployments[1:], deployment("hami-operator", "hami-operator:2")]


def beside_kube_scheduler(facts: Facts) -> None:
    """The driver "extender": kube-scheduler in the operator's pods, which asks about every name."""
    (operator,) = [one for one in facts.deployments if one["metadata"]["name"] == "hami-operator"]
    containers = operator["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "kube-scheduler", "image": "kube-scheduler:v1.37.2"})
    facts.scheduler_configuration, facts.scheduler_expected = render(Settings()), render(Settings())


def name_not_managed(facts: Facts) -> None:
    beside_kube_scheduler(facts)
    assert facts.scheduler_configuration is not None
    managed = facts.scheduler_configuration["extenders"][0]["managedResources"]
    managed[:] = [one for one in managed if one["name"] != "nvidia.com/gpumem"]


def only_hamis_names(facts: Facts) -> None:
    """As HAMi's chart has it, in part: a name that is not said to be ignored is counted by kube-scheduler."""
    beside_kube_scheduler(facts)
    facts.live.cluster.profiles = facts.live.cluster.profiles[:1]
    assert facts.scheduler_configuration is not None
    facts.scheduler_configuration["extenders"][0]["managedResources"][0] = {"name": "nvidia.com/gpu"}


def other_settings(**settings: Any) -> Callable[[Facts], None]:
    def fault(facts: Facts) -> None:
        beside_kube_scheduler(facts)
        facts.scheduler_expected = render(Settings(**settings))

    return fault


def nothing_configured(facts: Facts) -> None:
    beside_kube_scheduler(facts)
    facts.scheduler_configuration, facts.scheduler_expected = {}, None


def rights_beside_kube_scheduler(facts: Facts) -> None:
    beside_kube_scheduler(facts)
    no_rights(facts)


def skewed(facts: Facts) -> None:
    facts.skew = -42.0


def not_allocatable(facts: Facts) -> None:
    amounts = {"cpu": "1", "nvidia.com/gpu": "0"}
    obj = node_object("n2", [device("GPU-2")], status={"allocatable": amounts})
    facts.live.cluster.inventory.update(read_node(obj))


def silent(facts: Facts) -> None:
    with_node(facts, device("GPU-2"), handshake="Reported 2025.10.09 08:00:00")


def unreadable_list(facts: Facts) -> None:
    with_node(facts, register="GPU-2,ten,")


def old_lock(facts: Facts) -> None:
    with_node(facts, device("GPU-2"), lock=f"{time_text(75)},team-a,trainer-0")


def own_lock(facts: Facts) -> None:
    facts.live.cluster.profiles = Settings().devices.profiles()
    with_node(facts, device("GPU-2"), own_lock=f"{time_text(75)},team-a,trainer-0")


def strange_lock(facts: Facts) -> None:
    with_node(facts, device("GPU-2"), lock="yes")


def unreadable_share(facts: Facts) -> None:
    with_pod(facts, bound("odd", "n1", "GPU-1,NVIDIA,many,0:;"))


def stray(facts: Facts) -> None:
    obj = pod_object("lost", {"name": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}}})
    obj["spec"]["schedulerName"] = "default-scheduler"
    with_pod(facts, pod("lost", *obj["spec"]["containers"], schedulerName="default-scheduler"))


def may_not_look(facts: Facts) -> None:
    facts.hidden, facts.webhooks = {"webhooks": 'user "me" may not list them'}, []


@dataclass(frozen=True)
class Case:
    title: str
    fault: Callable[[Facts], None]
    what: str
    remedy: str


UNKNOWN_CA = 'failed calling webhook "pods.hami-operator.io": tls: x509: certificate signed by unknown authority'
REFUSED = 'failed calling webhook "pods.hami-operator.io": dial tcp 10.0.0.1:443: connect: connection refused'

ASKS = "kube-scheduler asks the operator"

CASES = [
    Case("No other scheduler of this name", hami_runs, "HAMi's own scheduler runs: Deployment kube-system", "scale"),
    Case("No other scheduler of this name", hamis_webhook, "HAMi's own webhook is registered (hami-old)", "delete"),
    Case("Webhook", no_webhook, "our webhook is not registered", "kubectl apply -k"),
    Case("Webhook", no_ca, "CA bundle is empty", "logs deployment/hami-webhook-certs"),
    Case("Webhook", lenient, "pods slip to the default scheduler", "lenient"),
    Case("Webhook", name_not_matched, "not called for pods that ask for nvidia.com/gpucores", "hami-webhook config"),
    Case("Webhook", passed_by, "the webhook is not asked", "namespaceSelector"),
    Case("Webhook", answered(UNKNOWN_CA), "does not trust the webhook's certificate", "rollout restart"),
    Case("Webhook", answered(REFUSED), "can't reach the webhook", "get pods,endpointslices"),
    Case("Webhook", answered('admission webhook "x" denied the request: no'), "can't be created", "who refuses it"),
    Case("Leader", no_leader, "no operator leads", "get pods -l app.kubernetes.io/name=hami-operator"),
    Case("Leader", old_lease, "one has not renewed its lease for 100 s", "get pods"),
    Case("Rights of the operator", no_rights, "may not patch nodes; create pods/binding", "kubectl apply -k"),
    Case("Rights of the operator", rights_beside_kube_scheduler, "may not patch nodes", "manifests/overlays/extender"),
    Case(ASKS, name_not_managed, "does not ask the operator about nvidia.com/gpumem", "scheduler-configuration"),
    Case(ASKS, only_hamis_names, "does not ask the operator about nvidia.com/gpu", "scheduler-configuration"),
    Case(ASKS, nothing_configured, "does not ask the operator about nvidia.com/gpu, ", "scheduler-configuration"),
    Case(ASKS, other_settings(extender={"port": 9}), "urlPrefix 'http://127.0.0.1:9396'", "scheduler-configuration"),
    Case(ASKS, other_settings(leader={"name": "x"}), "the operator's settings say 'x'", "scheduler-configuration"),
    Case(ASKS, other_settings(scheduler_name="mine"), "schedulerName 'mine'", "scheduler-configuration"),
    Case("Quota kind", no_crd, "is not installed", "kubectl apply -f crds/"),
    Case("Quota kind", other_version, "has no version v1alpha1", "kubectl apply -f crds/"),
    Case("Quota kind", old_crd, "is old: its status lacks waiting", "kubectl apply -f crds/"),
    Case("One version everywhere", mixed, "hami-operator:1: hami-webhook, hami-webhook-certs", "kubectl apply -k"),
    Case("Clocks", skewed, "clock is 42 s behind the API server's", "NTP"),
    Case("Device plugins", not_allocatable, "n2: NVIDIA cards are registered and none is allocatable", "plugin's pod"),
    Case("Device plugins", silent, "n2: the NVIDIA plugin has reported nothing for 3200 s", "plugin's pod"),
    Case("Device plugins", unreadable_list, "the last good list is kept", "restart the device plugin on n2"),
    Case("Node locks", old_lock, "n2 has been locked for 75 s by team-a/trainer-0", "annotate node n2"),
    Case("Node locks", own_lock, "by team-a/trainer-0", "annotate node n2 hami-operator.io/aws-neuron.lock-"),
    Case("Node locks", strange_lock, "its lock 'yes' can't be read", "annotate node n2"),
    Case("Allocations can be read", unreadable_share, "default/odd", "delete pod odd"),
    Case("Pods under other schedulers", stray, "default/lost asks for cards under the scheduler 'default-sch", "anew"),
    Case("Everything can be looked at", may_not_look, 'webhooks can\'t be looked at: user "me"', "somebody who may"),
]


@pytest.mark.parametrize("driver", [lambda _: None, beside_kube_scheduler], ids=["direct", "extender"])
def test_nothing_is_wrong_with_a_sound_installation(driver: Callable[[Facts], None]) -> None:
    facts = sound()
    driver(facts)
    assert {title: findings for title, findings in examine(facts).items() if findings} == {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: getattr(case.fault, "__name__", case.title))
def test_a_fault_is_named_under_its_title_with_what_mends_it(case: Case) -> None:
    facts = sound()
    case.fault(facts)
    found = {title: findings for title, findings in examine(facts).items() if findings}
    assert list(found) == [case.title]
    (finding,) = found[case.title]
    assert case.what in finding.what
    assert case.remedy in finding.remedy


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {case.title for case in CASES} == CHECKS.keys()


def test_a_lock_of_seconds_and_a_pod_of_hami_are_no_faults() -> None:
    facts = sound()
    with_node(facts, device("GPU-2"), lock=f"{time_text(20)},team-a,trainer-0")
    theirs = pod("theirs", {"name": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}}}, schedulerName="x")
    adopted = bound("before", "n1", "GPU-1,NVIDIA,100,0:;", gpu=1)
    with_pod(facts, adopted)
    assert not any(examine(facts).values())
    with_pod(facts, theirs)
    assert any(examine(facts).values())


def test_the_rights_looked_for_are_those_of_the_manifests() -> None:
    assert {(group, resource, "", verbs) for group, resource, verbs in RIGHTS} == GRANTED["hami-operator"]
