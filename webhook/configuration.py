"""The MutatingWebhookConfiguration, generated from the families' names. Pure.

Its ``matchConditions`` let every pod without accelerators pass without a call, so ``failurePolicy: Fail`` is in
nobody's way; a name that is missing there would let pods slip to the default scheduler, hence the generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hami_operator.core import protocol
from hami_operator.core.model import Container
from hami_operator.core.vendor import Profile

from .mutate import WRITTEN_PATTERN

NAME = "hami-webhook"
WEBHOOK = "pods.hami-operator.io"
SERVICE = "hami-webhook"
PATH = "/mutate"
TIMEOUT_S = 5


def render(profiles: Sequence[Profile], namespace: str) -> dict[str, Any]:
    """The whole object, calling the Service in ``namespace``; the CA bundle is put in by ``install``."""
    ignore = {"key": protocol.WEBHOOK_LABEL, "operator": "NotIn", "values": ["ignore"]}
    spared = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", namespace]}
    webhook: dict[str, Any] = {
        "name": WEBHOOK,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": SERVICE, "namespace": namespace, "path": PATH, "port": 443}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "*"}
        ],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_S,
        "namespaceSelector": {"matchExpressions": [spared, ignore]},
        "objectSelector": {"matchExpressions": [ignore]},
    }
    if not touches_every_pod(profiles):
        webhook["matchConditions"] = [{"name": "asks-for-accelerators", "expression": match_expression(profiles)}]
    labels = {"app.kubernetes.io/name": "hami-webhook", "app.kubernetes.io/part-of": "hami-operator"}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME, "labels": labels},
        "webhooks": [webhook],
    }


def touches_every_pod(profiles: Iterable[Profile]) -> bool:
    """Whether a family changes containers that ask for nothing (``nvidia.overwriteEnv``): then no pod may be spared."""
    return any(profile.hooks.admit(profile, Container("any"), {}).env for profile in profiles)


def match_expression(profiles: Sequence[Profile]) -> str:
    """CEL: a container or init container names a managed resource, or the pod bears what only the scheduler writes."""
    names = _literals(dict.fromkeys(name for profile in profiles for name in profile.names.all()))
    keys = _literals(sorted(protocol.COMMON_WRITTEN_KEYS.union(*(profile.written_keys for profile in profiles))))
    pattern = _literals([WRITTEN_PATTERN])[1:-1]
    return "\n".join(
        (
            f"object.spec.containers.exists(c, {_asks('c', names)}) ||",
            f"(has(object.spec.initContainers) && object.spec.initContainers.exists(c, {_asks('c', names)})) ||",
            "(has(object.metadata.annotations) && object.metadata.annotations.exists(k,",
            f"  k.startsWith('{protocol.OWN_PREFIX}') || k in {keys} || k.matches({pattern}))) ||",
            f"(has(object.metadata.labels) && '{protocol.POD_NODE}' in object.metadata.labels)",
        )
    )


def _asks(container: str, names: str) -> str:
    resources = f"{container}.resources"
    sections = (
        f"(has({resources}.{section}) && {resources}.{section}.exists(r, r in {names}))"
        for section in ("limits", "requests")
    )
    joined = " ||\n  ".join(sections)
    return f"has({resources}) && (\n  {joined})"


def _literals(texts: Iterable[str]) -> str:
    """A CEL list of string literals."""
    return "[" + ", ".join("'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for text in texts) + "]"
