"""What is wrong with an installation, each with what mends it. Facts are gathered first; the checks are pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.decode import asks_for
from hami_operator.core.errors import ProtocolError
from hami_operator.core.model import Pod
from hami_operator.live import Live

Json = dict[str, Any]

#: A lock is held for as long as a plugin takes to hand out cards: a second or two.
OLD_LOCK_SECONDS = 60.0
#: HAMi 2.7's plugin reports every 30 s.
SILENT_SECONDS = 120.0
CLOCK_SKEW_SECONDS = 5.0

HAMI_WEBHOOK = "vgpu.hami.io"
OUR_WEBHOOK = "pods.hami-operator.io"
OUR_CRD = "extendedresourcequotas.hami-operator.io"
OPERATOR, WEBHOOK = "hami-operator", "hami-webhook"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and what mends it."""

    what: str
    remedy: str


@dataclass(slots=True)
class Facts:
    """What was asked of the cluster. ``admission`` is the answer to a dry run of an accelerator pod, empty when it
    was admitted; ``missing_rights`` are those of the operator's account; ``skew`` is our clock minus the API server's,
    in seconds."""

    live: Live
    namespace: str
    scheduler_name: str
    now: float
    deployments: Sequence[Json] = ()
    webhooks: Sequence[Json] = ()
    admission: str = ""
    admitted: Json = field(default_factory=dict)
    missing_rights: Sequence[str] = ()
    lease: Json | None = None
    crd: Json | None = None
    skew: float = 0.0


def examine(facts: Facts) -> dict[str, list[Finding]]:
    """All checks in a fixed order, by title; an empty list is a check that found nothing."""
    return {title: list(check(facts)) for title, check in CHECKS.items()}


# -- other schedulers --------------------------------------------------------------------------------------------


def _other_scheduler(facts: Facts) -> Iterator[Finding]:
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


def _webhook(facts: Facts) -> Iterator[Finding]:
    ours = [webhook for webhook in _all_webhooks(facts) if webhook["name"] == OUR_WEBHOOK]
    if not ours:
        yield Finding("our webhook is not registered", "kubectl apply -k manifests/overlays/direct")
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
    if facts.admission:
        yield Finding(
            f"a pod that asks for cards can't be created: {facts.admission}",
            f"kubectl -n {facts.namespace} get pods -l app.kubernetes.io/name={WEBHOOK}; the CA bundle of the webhook "
            "configuration must have signed its certificate",
        )
    elif facts.admitted and facts.admitted["spec"].get("schedulerName") != facts.scheduler_name:
        yield Finding(
            "a pod that asks for cards is admitted but not given to us: the webhook is not asked",
            "look at namespaceSelector, objectSelector and matchConditions of the webhook configuration",
        )


def _leader(facts: Facts) -> Iterator[Finding]:
    start = f"kubectl -n {facts.namespace} get pods -l app.kubernetes.io/name={OPERATOR}"
    spec = (facts.lease or {}).get("spec") or {}
    renewed = spec.get("renewTime")
    if not spec.get("holderIdentity") or not renewed:
        yield Finding("no operator leads: nothing is decided", start)
        return
    age = facts.now - datetime.datetime.fromisoformat(renewed).timestamp()
    if age > 2 * float(spec.get("leaseDurationSeconds", 15)):
        yield Finding(f"the leader {spec['holderIdentity']} has not renewed its lease for {age:.0f} s", start)


def _rights(facts: Facts) -> Iterator[Finding]:
    if facts.missing_rights:
        told = f"the operator may not {', '.join(facts.missing_rights)}"
        yield Finding(told, "kubectl apply -k manifests/overlays/direct")


def _quota_kind(facts: Facts) -> Iterator[Finding]:
    if facts.crd is None:
        yield Finding("the kind ExtendedResourceQuota is not installed", "kubectl apply -f crds/")
    elif not any(version["name"] == "v1alpha1" for version in facts.crd["spec"]["versions"]):
        yield Finding("the kind ExtendedResourceQuota has no version v1alpha1", "kubectl apply -f crds/")


def _versions(facts: Facts) -> Iterator[Finding]:
    images: dict[str, set[str]] = {}
    for deployment in facts.deployments:
        if deployment["metadata"]["namespace"] == facts.namespace:
            for container in deployment["spec"]["template"]["spec"]["containers"]:
                if deployment["metadata"]["name"] in (OPERATOR, WEBHOOK, "hami-webhook-certs"):
                    images.setdefault(container["image"], set()).add(deployment["metadata"]["name"])
    if len(images) > 1:
        told = "; ".join(f"{image}: {', '.join(sorted(names))}" for image, names in sorted(images.items()))
        yield Finding(f"our parts run different versions: {told}", "kubectl apply -k manifests/overlays/direct")


def _clock(facts: Facts) -> Iterator[Finding]:
    if abs(facts.skew) > CLOCK_SKEW_SECONDS:
        side = "ahead of" if facts.skew > 0 else "behind"
        yield Finding(
            f"this machine's clock is {abs(facts.skew):.0f} s {side} the API server's",
            "synchronise the clocks (NTP): lock and lease times are compared",
        )


# -- nodes and pods ----------------------------------------------------------------------------------------------


def _plugins(facts: Facts) -> Iterator[Finding]:
    profiles = {profile.key: profile for profile in facts.live.cluster.profiles}
    for entry in sorted(facts.live.cluster.inventory, key=lambda entry: entry.node.name):
        name = entry.node.name
        for family in sorted(entry.devices.keys() - entry.live):
            yield Finding(
                f"node {name}: {family} cards are registered and none is allocatable: the plugin is not at work",
                f"look at the device plugin's pod on {name}",
            )
        for family, problem in sorted(entry.broken.items()):
            yield Finding(
                f"node {name}: {family}: {problem}; the last good list is kept",
                f"restart the device plugin on {name}, so that it registers anew",
            )
        for family in sorted(entry.live):
            age = _report_age(entry.node.annotations.get(profiles[family].handshake_key, ""), facts.now)
            if age is not None and age > SILENT_SECONDS:
                yield Finding(
                    f"node {name}: the {family} plugin has reported nothing for {age:.0f} s",
                    f"look at the device plugin's pod on {name}",
                )


def _report_age(handshake: str, now: float) -> float | None:
    """Seconds since ``Reported <time>``; None for other words, and for times in a form that is not known."""
    word, _, text = handshake.replace("_", " ", 1).partition(" ")
    parts = text.split(" ")
    if word != "Reported" or len(parts) < 2:
        return None
    clock = f"{parts[0].replace('.', '-')}T{parts[1].partition('.')[0]}"
    try:
        moment = datetime.datetime.fromisoformat(clock)
    except ValueError:
        return None
    zone = parts[2] if len(parts) > 2 else "+0000"
    offset = datetime.datetime.strptime(zone, "%z").utcoffset() if zone[:1] in "+-" and len(zone) == 5 else None
    return now - (moment - (offset or datetime.timedelta())).replace(tzinfo=datetime.UTC).timestamp()


def _locks(facts: Facts) -> Iterator[Finding]:
    for entry in sorted(facts.live.cluster.inventory, key=lambda entry: entry.node.name):
        text = entry.node.annotations.get(protocol.NODE_LOCK)
        if text is None:
            continue
        remedy = f"kubectl annotate node {entry.node.name} {protocol.NODE_LOCK}-"
        try:
            lock = protocol.parse_lock(text)
        except ProtocolError:
            yield Finding(f"node {entry.node.name}: its lock {text!r} can't be read", remedy)
            continue
        age = facts.now - lock.taken
        if age > OLD_LOCK_SECONDS:
            holder = f"{lock.namespace}/{lock.name}" if lock.name else "nobody that it names"
            yield Finding(f"node {entry.node.name} has been locked for {age:.0f} s by {holder}", remedy)


def _quarantine(facts: Facts) -> Iterator[Finding]:
    for record in facts.live.cluster.ledger.records():
        key = record.key
        for family, problem in sorted(record.problems.items()):
            yield Finding(
                f"pod {key}: {problem}: {record.node} takes no new {family} pods",
                f"mend the annotation, or delete the pod: kubectl -n {key.namespace} delete pod {key.name}",
            )


def _strays(facts: Facts) -> Iterator[Finding]:
    for pod in sorted(facts.live.pods.values(), key=lambda pod: str(pod.key)):
        if pod.terminal or pod.scheduler_name == facts.scheduler_name or not _wants_cards(pod, facts):
            continue
        if pod.node_name and protocol.OWN_ALLOCATION in pod.annotations:
            continue
        yield Finding(
            f"pod {pod.key} asks for cards under the scheduler {pod.scheduler_name!r}: nobody accounts for them",
            f"create it anew with schedulerName: {facts.scheduler_name} (or none, where the webhook is asked)",
        )


def _wants_cards(pod: Pod, facts: Facts) -> bool:
    allocated: Iterable[str] = (profile.allocated_key for profile in facts.live.cluster.profiles)
    if pod.node_name and any(key in pod.annotations for key in allocated):
        return False  # HAMi's own, from before
    return any(asks_for(pod, profile) for profile in facts.live.cluster.profiles)


CHECKS: Mapping[str, Callable[[Facts], Iterator[Finding]]] = {
    "No other scheduler of this name": _other_scheduler,
    "Webhook": _webhook,
    "Leader": _leader,
    "Rights of the operator": _rights,
    "Quota kind": _quota_kind,
    "One version everywhere": _versions,
    "Clocks": _clock,
    "Device plugins": _plugins,
    "Node locks": _locks,
    "Allocations can be read": _quarantine,
    "Pods under other schedulers": _strays,
}
