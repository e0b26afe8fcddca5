"""The MutatingWebhookConfiguration, generated from the families' names. Pure.

Its ``matchConditions`` let every pod without accelerators pass without a call, so ``failurePolicy: Fail`` is in
nobody's way; a name that is missing there would let pods slip to the default scheduler, hence the generation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from hami_operator.core import protocol
from hami_operator.core.vendor import Profile, managed_names

from .catalogue import WRITTEN_PATTERN, speaks_to_all, written_keys

NAME = "hami-webhook"
WEBHOOK = "pods.hami-operator.io"
SERVICE = "hami-webhook"
PATH = "/mutate"
TIMEOUT_S = 5


#: Stands above the printed object.
HEADER = "# Printed by `hami-webhook configuration`: run it again after a change of resource names.\n"


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as literal blocks and repeated values in full, which people can read."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors."""
        return True


Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


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
    if not any(speaks_to_all(profile) for profile in profiles):  # else no pod may be spared
        webhook["matchConditions"] = [{"name": "asks-for-accelerators", "expression": match_expression(profiles)}]
    labels = {"app.kubernetes.io/name": "hami-webhook", "app.kubernetes.io/part-of": "hami-operator"}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME, "labels": labels},
        "webhooks": [webhook],
    }


def match_expression(profiles: Sequence[Profile]) -> str:
    """CEL: a container or init container names a managed resource, or the pod bears what only the scheduler writes."""
    names = managed_names(profiles)
    keys, prefixes = written_keys(profiles)
    begins = " || ".join(f"key.startsWith({_literal(prefix)})" for prefix in prefixes)
    return f"""\
[
  has(object.spec.containers) && object.spec.containers != null ? object.spec.containers : [],
  has(object.spec.initContainers) ? object.spec.initContainers : []
].exists(containers, containers.exists(c, has(c.resources) && [
  has(c.resources.limits) ? c.resources.limits : {{}},
  has(c.resources.requests) ? c.resources.requests : {{}}
].exists(amounts, amounts.exists(name, name in {_literals(names, indent=0)}))))
|| (has(object.metadata.annotations) && object.metadata.annotations.exists(key,
  {begins} || key.matches({_literal(WRITTEN_PATTERN)})
  || key in {_literals(keys, indent=2)}))
|| (has(object.metadata.labels) && {_literal(protocol.POD_NODE)} in object.metadata.labels)"""


def _literals(texts: Iterable[str], indent: int) -> str:
    """A CEL list of string literals, one a line."""
    lines = "".join(f"{' ' * indent}  {_literal(text)},\n" for text in texts)
    return f"[\n{lines.removesuffix(',' + chr(10))}\n{' ' * indent}]"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
