"""What the manifests promise: they render, nothing has more rights than it uses, and generated parts are up to date."""

from __future__ import annotations

from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from hami_operator import config
from hami_operator.cli.main import main as operator_main
from hami_operator.serving.web.routes import VIEWS
from webhook import configuration, install
from webhook.__main__ import main as webhook_main

from .conftest import MANIFESTS, find

DEPLOYMENTS = ("hami-operator", "hami-webhook", "hami-webhook-certs")


def containers(objects):
    for name in DEPLOYMENTS:
        for container in find(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]:
            yield name, container


# -- the webhook configuration -----------------------------------------------------------------------------------


def test_the_webhook_configuration_is_the_generated_one():
    printed = CliRunner().invoke(webhook_main, ["configuration", "--config", str(MANIFESTS / "base/config.yaml")])
    assert printed.exit_code == 0, printed.output
    file = MANIFESTS / "base/webhook-configuration.yaml"
    assert file.read_text() == printed.output, f"run: hami-webhook configuration > {file.name}"


def test_the_settings_file_spells_out_the_defaults_and_puts_every_family_in_force():
    every = config.DevicesSection(vnpus={}, iluvatars={})
    assert config.load(MANIFESTS / "base/config.yaml") == config.load().model_copy(update={"devices": every})


def test_every_managed_name_and_every_allocation_key_is_in_the_match_condition():
    (webhook,) = yaml.safe_load((MANIFESTS / "base/webhook-configuration.yaml").read_text())["webhooks"]
    (condition,) = webhook["matchConditions"]
    profiles = config.load().devices.profiles()
    for name in (name for profile in profiles for name in profile.names.all()):
        assert f"'{name}'" in condition["expression"]
    for key in ("hami.io/vgpu-node", "hami.io/vgpu-time", "hami.io/bind-phase", "hami.io/bind-time"):
        assert f"'{key}'" in condition["expression"]


def test_the_webhook_fails_closed_and_spares_our_own_namespace(direct):
    (webhook,) = find(direct, "MutatingWebhookConfiguration", "hami-webhook")["webhooks"]
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["reinvocationPolicy"] == "IfNeeded"
    assert webhook["sideEffects"] == "None"
    assert webhook["timeoutSeconds"] == 5
    assert webhook["admissionReviewVersions"] == ["v1"]
    spared = [e for e in webhook["namespaceSelector"]["matchExpressions"] if e["key"] == "kubernetes.io/metadata.name"]
    assert spared[0]["values"] == ["kube-system", "hami-system"]
    ignore = {"key": "hami.io/webhook", "operator": "NotIn", "values": ["ignore"]}
    assert ignore in webhook["namespaceSelector"]["matchExpressions"]
    assert ignore in webhook["objectSelector"]["matchExpressions"]
    assert "caBundle" not in webhook["clientConfig"], "an applied bundle would fight with the certificates' loop"


def test_the_webhook_configuration_calls_a_service_that_leads_to_the_webhook(direct):
    (webhook,) = find(direct, "MutatingWebhookConfiguration", "hami-webhook")["webhooks"]
    called = webhook["clientConfig"]["service"]
    service = find(direct, "Service", called["name"])
    assert service["metadata"]["namespace"] == called["namespace"]
    (port,) = [p for p in service["spec"]["ports"] if p["port"] == called["port"]]
    (container,) = [c for name, c in containers(direct) if name == "hami-webhook"]
    (target,) = [p["containerPort"] for p in container["ports"] if p["name"] == port["targetPort"]]
    assert f"--port={target}" in container["args"]
    assert called["path"] == configuration.PATH
    pod = find(direct, "Deployment", "hami-webhook")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= pod.items()


def test_lenient_lets_pods_in_while_no_webhook_answers(with_components):
    (webhook,) = find(with_components("lenient"), "MutatingWebhookConfiguration", "hami-webhook")["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"


def test_authenticated_asks_for_tokens_and_lets_the_operator_ask_who_bears_them(with_components):
    objects = with_components("authenticated")
    (container,) = find(objects, "Deployment", "hami-operator")["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "HAMI_SERVING__ACCESS", "value": "token"}]
    (subject,) = find(objects, "ClusterRoleBinding", "hami-operator-reviews")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "hami-operator", "namespace": "hami-system"}
    (rule,) = find(objects, "ClusterRole", "hami-viewer")["rules"]
    seen = {view.path.partition("{")[0] for view in VIEWS} | {"/metrics", "/static/page.css"}
    allowed = rule["nonResourceURLs"]
    assert [p for p in seen if not any(p == a or (a[-1] == "*" and p.startswith(a[:-1])) for a in allowed)] == []


def test_cert_manager_takes_the_place_of_our_own_certificates(with_components):
    objects = with_components("cert-manager", "lenient")
    assert not [o for o in objects if o["metadata"]["name"] == "hami-webhook-certs"]
    configured = find(objects, "MutatingWebhookConfiguration", "hami-webhook")
    assert configured["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": "hami-system/hami-webhook"}
    certificate = find(objects, "Certificate", "hami-webhook")
    assert certificate["spec"]["secretName"] == install.SECRET
    assert tuple(certificate["spec"]["dnsNames"]) == install.service_names("hami-webhook", "hami-system")


# -- security ----------------------------------------------------------------------------------------------------


def test_every_container_runs_with_as_little_as_possible(overlay):
    for name in DEPLOYMENTS:
        spec = find(overlay, "Deployment", name)["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["priorityClassName"] == "system-cluster-critical"
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"memory"}, "a CPU limit makes latency, no safety"
            if container["name"] != "kube-scheduler":  # it writes nothing
                assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
        assert {"name": "tmp", "emptyDir": {}} in spec["volumes"]


def test_the_namespace_enforces_the_restricted_profile_and_is_not_judged(overlay):
    labels = find(overlay, "Namespace", "hami-system")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["hami.io/webhook"] == "ignore"
    quota = find(overlay, "ResourceQuota", "hami-critical-pods")
    assert quota["spec"]["scopeSelector"]["matchExpressions"] == [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}
    ]


#: Account -> (group, resource, names, verbs): all it may do, in its own namespace or in the cluster.
RIGHTS = {
    "hami-operator": {
        ("", "pods", "", "get list watch patch"),
        ("", "pods/binding", "", "create"),
        ("", "pods/status", "", "patch"),
        ("", "nodes", "", "get list watch patch"),
        ("", "persistentvolumeclaims", "", "list watch"),
        ("", "persistentvolumes", "", "list watch"),
        ("", "resourcequotas", "", "list watch"),
        ("hami-operator.io", "extendedresourcequotas", "", "list watch"),
        ("hami-operator.io", "extendedresourcequotas/status", "", "patch"),
        ("events.k8s.io", "events", "", "create patch"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "", "list watch"),
        ("coordination.k8s.io", "leases", "", "get create update"),
    },
    "hami-webhook": set(),
    "hami-webhook-certs": {
        ("", "secrets", "hami-webhook-tls", "get update"),
        ("", "secrets", "", "create"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "hami-webhook", "get patch"),
    },
}
NAMESPACED = {"leases", "secrets"}


@pytest.mark.parametrize("account", RIGHTS)
def test_each_account_has_the_rights_of_the_table_and_no_more(direct, account):
    granted = set()
    for binding in (o for o in direct if o["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        subject = {"kind": "ServiceAccount", "name": account, "namespace": "hami-system"}
        if subject in binding["subjects"]:
            assert len(binding["subjects"]) == 1
            role = find(direct, binding["roleRef"]["kind"], binding["roleRef"]["name"])
            for rule in role["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        names = " ".join(rule.get("resourceNames", []))
                        granted.add((group, resource, names, " ".join(rule["verbs"])))
                        assert (role["kind"] == "Role") == (resource in NAMESPACED)
    assert granted == RIGHTS[account]
    assert find(direct, "ServiceAccount", account)["metadata"]["namespace"] == "hami-system"


def test_the_webhook_gets_neither_a_token_nor_the_key_of_the_authority(direct):
    spec = find(direct, "Deployment", "hami-webhook")["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    (secret,) = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    assert secret["optional"] is True, "the pods start before the Secret is made"
    assert secret["secretName"] == install.SECRET
    assert {item["key"] for item in secret["items"]} == {"tls.crt", "tls.key"}


# -- availability ------------------------------------------------------------------------------------------------


def test_disruption_budgets_keep_a_webhook_and_never_block_a_drain(overlay):
    webhook = find(overlay, "PodDisruptionBudget", "hami-webhook")["spec"]
    assert webhook["minAvailable"] == 1 < find(overlay, "Deployment", "hami-webhook")["spec"]["replicas"]
    assert find(overlay, "PodDisruptionBudget", "hami-operator")["spec"]["maxUnavailable"] == 1
    assert find(overlay, "Deployment", "hami-operator")["spec"]["replicas"] == 2


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_selectors_labels_and_probes_belong_together(overlay, name):
    deployment = find(overlay, "Deployment", name)["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    assert labels["hami.io/webhook"] == "ignore"
    assert labels["app.kubernetes.io/part-of"] == "hami-operator"
    for container in deployment["template"]["spec"]["containers"]:
        ports = {port["name"] for port in container["ports"]}
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        for probe in ("livenessProbe", "readinessProbe"):
            if not (container["name"] == "kube-scheduler" and probe == "livenessProbe"):  # the operator's beside it
                assert container[probe]["httpGet"]["port"] in ports
    for kind in ("Service", "PodDisruptionBudget"):
        for found in (o for o in overlay if o["kind"] == kind and o["metadata"]["name"] == name):
            selector = found["spec"]["selector"]
            assert selector.get("matchLabels", selector).items() <= labels.items()


def test_dashboards_find_the_metrics_service(overlay):
    service = find(overlay, "Service", "hami-operator")
    assert service["metadata"]["labels"]["app.kubernetes.io/component"] == "hami-scheduler"
    assert [port["name"] for port in service["spec"]["ports"]] == ["monitor"]
    others = [o for o in overlay if o["kind"] == "Service" and o is not service]
    assert all(o["metadata"]["labels"]["app.kubernetes.io/component"] != "hami-scheduler" for o in others)


def test_network_policies_select_pods_that_are_there(overlay):
    pods = [find(overlay, "Deployment", name)["spec"]["template"] for name in DEPLOYMENTS]
    ports = {port["name"] for pod in pods for c in pod["spec"]["containers"] for port in c["ports"]}
    for policy in (o for o in overlay if o["kind"] == "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        for key, value in selector.get("matchLabels", {}).items():
            assert any(pod["metadata"]["labels"].get(key) == value for pod in pods)
        for expression in selector.get("matchExpressions", []):
            names = {pod["metadata"]["labels"].get(expression["key"]) for pod in pods}
            assert set(expression["values"]) <= names
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= ports


def test_the_arguments_of_our_containers_are_understood(overlay):
    programs = {"hami-webhook": webhook_main, "hami-operator": operator_main}
    for container in (container for _, container in containers(overlay) if container["name"] != "kube-scheduler"):
        program, command, *arguments = container["args"]
        parsed = parse(programs[program], command, arguments)
        if program == "hami-webhook":
            assert parsed["health_port"] in [port["containerPort"] for port in container["ports"]]
        else:
            assert config.load(MANIFESTS / "base/config.yaml").serving.port == container["ports"][0]["containerPort"]


def parse(group: click.Group, command: str, arguments: list[str]) -> dict[str, Any]:
    """The options as the command would get them; it is not run."""
    return group.commands[command].make_context(command, list(arguments)).params
