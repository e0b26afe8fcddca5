"""The overlay of the driver "extender": the kube-scheduler beside the operator asks it about every managed name."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from hami_operator import config
from hami_operator.cli.main import main
from hami_operator.config import Settings
from hami_operator.core.quota import quota_keys
from hami_operator.schedulerconfig import render
from webhook.configuration import match_expression

from .conftest import MANIFESTS, Objects, find

FILE = MANIFESTS / "overlays/extender/kube-scheduler.yaml"
CRD = yaml.safe_load((MANIFESTS.parent / "crds/extendedresourcequotas.yaml").read_text())

EVERY = config.load(MANIFESTS / "base/config.yaml")
VOLCANO = config.parse({"devices": {"vnpus": {}, "iluvatars": {}, "volcano": {}}}, "test")
RENAMED = config.parse({"devices": {"nvidia": {"resourceMemoryName": "example.org/mem"}}}, "test")


def managed(settings: Settings) -> list[str]:
    (extender,) = render(settings)["extenders"]
    assert all(one["ignoredByScheduler"] is True for one in extender["managedResources"])
    return [one["name"] for one in extender["managedResources"]]


def test_the_configuration_of_kube_scheduler_is_the_generated_one() -> None:
    printed = CliRunner().invoke(main, ["scheduler-configuration", "--config", str(MANIFESTS / "base/config.yaml")])
    assert printed.exit_code == 0, printed.output
    assert FILE.read_text() == printed.output, f"run: hami-operator scheduler-configuration > {FILE.name}"


@pytest.mark.parametrize("settings", [EVERY, VOLCANO, RENAMED], ids=["every family", "Volcano's names", "renamed"])
def test_webhook_kube_scheduler_and_quotas_know_the_same_names(settings: Settings) -> None:
    """One set of profiles: what the webhook is called for, what we are asked about, what may stand in a quota."""
    profiles = settings.devices.profiles()
    names = [name for profile in profiles for name in profile.names.all()]
    assert names
    found = managed(settings)
    assert set(found) == set(names)
    assert len(set(found)) == len(found), "kube-scheduler refuses a name that stands there twice"
    matched = re.search(r"name in \[([^]]*)\]", match_expression(profiles))
    assert matched is not None
    assert set(re.findall(r"'([^']+)'", matched[1])) == set(names)
    hard = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["hard"]
    (rule,) = hard["x-kubernetes-validations"]
    pattern = rule["rule"].removeprefix("self.all(k, k.matches('").removesuffix("'))")
    allowed = re.compile(pattern.replace("\\\\", "\\"))
    keys = {key.removeprefix("limits.") for key in quota_keys(profiles)}
    counted = {n for p in profiles for n in (p.names.count, p.names.memory, p.names.cores) if n}
    assert counted <= keys <= set(names)
    assert all(allowed.fullmatch(f"limits.{name}") for name in names)


def test_a_name_of_the_reference_that_was_missing_there_is_managed() -> None:
    """HAMi 2.7's chart left these to be counted against what nodes advertise."""
    missing = {"cambricon.com/mlu.smlu.vmemory", "cambricon.com/mlu.smlu.vcore", "iluvatar.ai/vcuda-memory"}
    assert missing <= set(managed(EVERY))


def test_every_node_is_judged_and_the_lease_is_the_operators_own() -> None:
    content = yaml.safe_load(FILE.read_text())
    assert content["percentageOfNodesToScore"] == 100
    assert [profile["schedulerName"] for profile in content["profiles"]] == [EVERY.scheduler_name]
    lease = content["leaderElection"]
    assert (lease["leaderElect"], lease["resourceNamespace"]) == (True, EVERY.leader.namespace)
    assert lease["resourceName"] == EVERY.leader.name


def test_kube_scheduler_asks_the_operator_beside_it_and_nobody_else_can(extender: Objects) -> None:
    (called,) = yaml.safe_load(FILE.read_text())["extenders"]
    assert called["urlPrefix"] == f"http://127.0.0.1:{EVERY.extender.port}"
    containers = {one["name"]: one for one in template(extender)["spec"]["containers"]}
    assert {"name": "HAMI_DRIVER", "value": "extender"} in containers["operator"]["env"]
    ports = [port["containerPort"] for one in containers.values() for port in one["ports"]]
    assert EVERY.extender.port not in ports


def template(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = find(objects, "Deployment", "hami-operator")["spec"]["template"]
    return found


def test_kube_scheduler_reads_the_configuration_that_is_mounted(extender: Objects) -> None:
    spec = template(extender)["spec"]
    (scheduler,) = [one for one in spec["containers"] if one["name"] == "kube-scheduler"]
    (mount,) = [one for one in scheduler["volumeMounts"] if one["name"] == "kube-scheduler"]
    assert f"--config={mount['mountPath']}/kube-scheduler.yaml" in scheduler["command"]
    (volume,) = [one for one in spec["volumes"] if one["name"] == "kube-scheduler"]
    content = find(extender, "ConfigMap", volume["configMap"]["name"])
    assert content["data"]["kube-scheduler.yaml"] == FILE.read_text()
    assert f"--secure-port={scheduler['ports'][0]['containerPort']}" in scheduler["command"]


def test_the_account_may_do_what_kube_scheduler_does_by_the_clusters_own_roles(extender: Objects) -> None:
    bound = {
        (found["roleRef"]["name"], found["metadata"].get("namespace", ""))
        for found in extender
        if found["kind"] in ("RoleBinding", "ClusterRoleBinding")
        and {"kind": "ServiceAccount", "name": "hami-operator", "namespace": "hami-system"} in found["subjects"]
    }
    assert bound == {
        ("hami-operator", ""),
        ("hami-operator", "hami-system"),
        ("system:kube-scheduler", ""),
        ("system:volume-scheduler", ""),
        ("extension-apiserver-authentication-reader", "kube-system"),
    }


def test_kube_scheduler_is_started_anew_when_the_operator_beside_it_does_not_live(extender: Objects) -> None:
    """Else it would hold the lease, and ask in vain, while another replica is well."""
    containers = {one["name"]: one for one in template(extender)["spec"]["containers"]}
    own, beside = (containers[name]["livenessProbe"] for name in ("operator", "kube-scheduler"))
    assert beside["httpGet"] == {"path": "/livez", "port": EVERY.serving.port}
    assert own["failureThreshold"] * own["periodSeconds"] < beside["failureThreshold"] * beside["periodSeconds"]
