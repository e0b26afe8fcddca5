"""What is wrong with our own parts, or with what stands beside them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from hami_operator.core.vendor import managed_names

from .facts import Facts, Finding, Json

CLOCK_SKEW_SECONDS = 5.0

HAMI_WEBHOOK = "vgpu.hami.io"
OUR_WEBHOOK = "pods.hami-operator.io"
OUR_CRD = "extendedresourcequotas.hami-operator.io"
OPERATOR, WEBHOOK = "hami-operator", "hami-webhook"

#: All that the operator has to be allowed to do: group, resource, verbs.
RIGHTS = (
    ("", "pods", "get list watch patch"),
    ("", "pods/binding", "create"),
    ("", "pods/status", "patch"),
    ("", "nodes", "get list watch patch"),
    ("", "persistentvolumeclaims", "list watch"),
    ("", "persistentvolumes", "list watch"),
    ("", "resourcequotas", "list watch"),
    ("hami-operator.io", "extendedresourcequotas", "list watch"),
    ("hami-operator.io", "extendedresourcequotas/status", "patch"),
    ("events.k8s.io", "events", "create patch"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "list watch"),
    ("coordination.k8s.io", "leases", "get create update"),
)
#: What the operator writes into the status of our quota objects; an older kind drops what it does not know.
QUOTA_STATUS = ("observedGeneration", "hard", "used", "summary", "pending", "waiting", "largest", "conditions")
#: The container in the operator's pods that elects and queues with the driver "extender".
KUBE_SCHEDULER = "kube-scheduler"


def _apply(facts: Facts) -> str:
    if any(_kube_schedulers(facts)):
        return "apply your kustomization of manifests/overlays/extender again"
    return "kubectl apply -k manifests/overlays/direct"


def _kube_schedulers(facts: Facts) -> Iterator[Json]:
    """The containers of kube-scheduler beside the operator."""
    for deployment in facts.deployments:
        if deployment["metadata"]["namespace"] == facts.namespace and deployment["metadata"]["name"] == OPERATOR:
            for container in deployment["spec"]["template"]["spec"]["containers"]:
                if container["name"] == KUBE_SCHEDULER:
                    yield container


def sight(facts: Facts) -> Iterator[Finding]:
    """What the caller's account may not see."""
    for what, why in facts.hidden.items():
        told = f"{what.replace('_', ' ')} can't be looked at: {why}"
        yield Finding(told, "ask somebody who may: doctor reads the whole cluster and sends dry runs")


# -- other schedulers --------------------------------------------------------------------------------------------


def other_scheduler(facts: Facts) -> Iterator[Finding]:
    """HAMi's own parts that are still at work."""
    for deployment in facts.deployments:
        metadata, spec = deployment["metadata"], deployment["spec"]
        ours = metadata["namespace"] == facts.namespace and metadata["name"] == OPERATOR
        component = (metadata.get("labels") or {}).get("app.kubernetes.io/component")
        if component == "hami-scheduler" and not ours and spec.get("replicas", 1) > 0:
            name = f"{metadata['namespace']}/{metadata['name']}"
            yield Finding(
                f"HAMi's own scheduler runs: Deployment {name}, {spec.get('replicas', 1)} replicas",
                f"kubectl -n {metadata['namespace']} scale deployment {metadata['name']} --replicas=0",
            )
    for webhook in _all_webhooks(facts):
        if webhook["name"] == HAMI_WEBHOOK:
            yield Finding(
                f"HAMi's own webhook is registered ({webhook['configuration']})",
                f"kubectl delete mutatingwebhookconfiguration {webhook['configuration']}",
            )


def _all_webhooks(facts: Facts) -> Iterator[Json]:
    for configuration in facts.webhooks:
        for webhook in configuration.get("webhooks") or ():
            yield {**webhook, "configuration": configuration["metadata"]["name"]}


# -- our own parts -----------------------------------------------------------------------------------------------


def webhook(facts: Facts) -> Iterator[Finding]:
    """Whether pods are admitted, and given to us."""
    ours = [webhook for webhook in _all_webhooks(facts) if webhook["name"] == OUR_WEBHOOK]
    if not ours:
        if "webhooks" not in facts.hidden:
            yield Finding("our webhook is not registered", _apply(facts))
        return
    if not ours[0]["clientConfig"].get("caBundle"):
        yield Finding(
            "the webhook's CA bundle is empty: no certificate has been made",
            f"kubectl -n {facts.namespace} logs deployment/hami-webhook-certs",
        )
    if ours[0].get("failurePolicy") != "Fail":
        yield Finding(
            "failurePolicy is Ignore: while no webhook answers, pods slip to the default scheduler and fail there",
            "leave out the component `lenient`",
        )
    yield from _passed_by(facts, ours[0])
    if facts.admission:
        yield _not_admitted(facts)
    elif facts.admitted and facts.admitted["spec"].get("schedulerName") != facts.scheduler_name:
        yield Finding(
            "a pod that asks for cards is admitted but not given to us: the webhook is not asked",
            "look at namespaceSelector, objectSelector and matchConditions of the webhook configuration",
        )


def _passed_by(facts: Facts, webhook: Json) -> Iterator[Finding]:
    """Names that the webhook is not called for; without conditions it is called for every pod."""
    conditions = " ".join(condition["expression"] for condition in webhook.get("matchConditions") or ())
    names = managed_names(facts.live.cluster.profiles) if conditions else ()
    if missing := [name for name in names if f"'{name}'" not in conditions]:
        yield Finding(
            f"the webhook is not called for pods that ask for {', '.join(missing)}",
            "hami-webhook configuration --config config.yaml > webhook-configuration.yaml, and apply it",
        )


def _not_admitted(facts: Facts) -> Finding:
    """What a dry run was answered tells whether the webhook is not there, not trusted, or somebody else refused."""
    why, namespace = facts.admission, facts.namespace
    if "x509" in why or "certificate" in why:
        return Finding(
            f"the API server does not trust the webhook's certificate: {why}",
            f"kubectl -n {namespace} rollout restart deployment/hami-webhook-certs deployment/{WEBHOOK}: the keeper of "
            "the certificates writes the CA bundle anew",
        )
    if "failed calling webhook" in why:
        return Finding(
            f"the API server can't reach the webhook: {why}",
            f"kubectl -n {namespace} get pods,endpointslices -l app.kubernetes.io/name={WEBHOOK}; a NetworkPolicy or "
            "firewall may stand between",
        )
    return Finding(f"a pod that asks for cards can't be created: {why}", "look who refuses it: the message names it")


def leader(facts: Facts) -> Iterator[Finding]:
    """Whether some operator decides."""
    start = f"kubectl -n {facts.namespace} get pods -l app.kubernetes.io/name={OPERATOR}"
    if "lease" in facts.hidden:
        return
    spec = (facts.lease or {}).get("spec") or {}
    renewed = spec.get("renewTime")
    if not spec.get("holderIdentity") or not renewed:
        yield Finding("no operator leads: nothing is decided", start)
        return
    age = facts.now - datetime.datetime.fromisoformat(renewed).timestamp()
    if age > 2 * float(spec.get("leaseDurationSeconds", 15)):
        yield Finding(f"the leader {spec['holderIdentity']} has not renewed its lease for {age:.0f} s", start)


def rights(facts: Facts) -> Iterator[Finding]:
    """Whether the operator's account may do what it has to."""
    if facts.missing_rights:
        told = f"the operator may not {'; '.join(facts.missing_rights)}"
        yield Finding(told, _apply(facts))


def quota_kind(facts: Facts) -> Iterator[Finding]:
    """Whether the kind of our quotas is there, and new enough."""
    remedy = "kubectl apply -f crds/"
    if facts.crd is None:
        if "crd" not in facts.hidden:
            yield Finding("the kind ExtendedResourceQuota is not installed", remedy)
        return
    versions = [version for version in facts.crd["spec"]["versions"] if version["name"] == "v1alpha1"]
    if not any(version.get("served") for version in versions):
        yield Finding("the kind ExtendedResourceQuota has no version v1alpha1", remedy)
        return
    schema = (versions[0].get("schema") or {}).get("openAPIV3Schema") or {}
    known = ((schema.get("properties") or {}).get("status") or {}).get("properties") or {}
    unknown = [name for name in QUOTA_STATUS if name not in known]
    if unknown or "status" not in (versions[0].get("subresources") or {}):
        told = ", ".join(unknown) or "the subresource"
        yield Finding(f"the kind ExtendedResourceQuota is old: its status lacks {told}", remedy)


def versions(facts: Facts) -> Iterator[Finding]:
    """Whether all our parts are of one version."""
    images: dict[str, set[str]] = {}
    for deployment in facts.deployments:
        if deployment["metadata"]["namespace"] == facts.namespace:
            for container in deployment["spec"]["template"]["spec"]["containers"]:
                ours = deployment["metadata"]["name"] in (OPERATOR, WEBHOOK, "hami-webhook-certs")
                if ours and container["name"] != KUBE_SCHEDULER:
                    images.setdefault(container["image"], set()).add(deployment["metadata"]["name"])
    if len(images) > 1:
        told = "; ".join(f"{image}: {', '.join(sorted(names))}" for image, names in sorted(images.items()))
        yield Finding(f"our parts run different versions: {told}", _apply(facts))


def clock(facts: Facts) -> Iterator[Finding]:
    """Whether the clocks agree."""
    if abs(facts.skew) > CLOCK_SKEW_SECONDS:
        side = "ahead of" if facts.skew > 0 else "behind"
        yield Finding(
            f"this machine's clock is {abs(facts.skew):.0f} s {side} the API server's",
            "synchronise the clocks (NTP): lock and lease times are compared",
        )
