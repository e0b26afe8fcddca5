"""``doctor``: look an installation over and say what is wrong, each with what mends it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from hami_operator.config import Settings
from hami_operator.doctor import OUR_CRD, Facts, Finding, examine
from hami_operator.kube import paths
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.kube.errors import NotFound, Refused, Unanswered
from hami_operator.live import read

from .options import asked, config_option, kubeconfig_option, output_option, settings_of
from .paper import console, words

#: What the operator must be allowed to do: verb, group, resource (with subresource).
_RIGHTS = (
    ("list", "", "pods", ""),
    ("watch", "", "pods", ""),
    ("patch", "", "pods", ""),
    ("patch", "", "pods", "status"),
    ("create", "", "pods", "binding"),
    ("list", "", "nodes", ""),
    ("patch", "", "nodes", ""),
    ("create", "events.k8s.io", "events", ""),
    ("update", "coordination.k8s.io", "leases", ""),
)


@click.command()
@output_option
@kubeconfig_option
@config_option
def doctor(*, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """Look the installation over: other schedulers, webhook, rights, plugins, locks, annotations, stray pods.

    Only a dry run is sent, nothing is written. Status 1 when something is wrong.

    \b
    Example:
      kubectl hami doctor
    """
    found = examine(asked(gather(settings_of(config), kubeconfig)))
    if output == "json":
        checks = [
            {"check": title, "findings": [dataclasses.asdict(one) for one in findings]}
            for title, findings in found.items()
        ]
        click.echo(json.dumps(checks, indent=2))
    else:
        tell(console(), found)
    sys.exit(1 if any(found.values()) else 0)


def tell(paper: Console, found: Mapping[str, Sequence[Finding]]) -> None:
    """One line per check, and under it what is wrong and what mends it."""
    for title, findings in found.items():
        mark = Text("wrong", style="bold red") if findings else Text("ok   ", style="green")
        paper.print(Text.assemble(mark, " ", title))
        for finding in findings:
            paper.print(Padding(words(finding.what), (0, 0, 0, 6)))
            paper.print(Padding(words(f"-> {finding.remedy}", "dim"), (0, 0, 0, 6)))


async def gather(settings: Settings, kubeconfig: str | None) -> Facts:
    """Ask the cluster. Raises KubeError when nodes and pods can't be listed."""
    live = await read(settings, kubeconfig)
    namespace, lease = settings.leader.namespace, settings.leader.name
    async with Client(await load_access(kubeconfig)) as client:
        facts = Facts(live, namespace, settings.scheduler_name, time.time())
        facts.deployments = await _items(client, "/apis/apps/v1/deployments")
        configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        facts.webhooks = await _items(client, configurations)
        facts.lease = await _maybe(client, f"{paths.leases(namespace)}/{lease}")
        facts.crd = await _maybe(client, f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{OUR_CRD}")
        facts.missing_rights = [right for right in _RIGHTS_TEXTS if not await _allowed(client, namespace, right)]
        await _try_admission(client, settings, facts)
    return facts


_RIGHTS_TEXTS = tuple(
    f"{verb} {'/'.join(filter(None, (group, resource, sub)))}" for verb, group, resource, sub in _RIGHTS
)
_BY_TEXT = dict(zip(_RIGHTS_TEXTS, _RIGHTS, strict=True))


async def _items(client: Client, path: str) -> list[dict[str, Any]]:
    return [item async for page in client.pages(path) for item in page.items]


async def _maybe(client: Client, path: str) -> dict[str, Any] | None:
    try:
        return await client.get(path)
    except NotFound:
        return None


async def _allowed(client: Client, namespace: str, text: str) -> bool:
    """Whether the operator's account has a right, by a SubjectAccessReview (which is answered, not stored)."""
    verb, group, resource, subresource = _BY_TEXT[text]
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    if resource == "leases":
        attributes["namespace"] = namespace
    user = f"system:serviceaccount:{namespace}:hami-operator"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = await client.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"].get("allowed"))


async def _try_admission(client: Client, settings: Settings, facts: Facts) -> None:
    """A dry run of a pod that asks for the first family's cards. Its creation time is the API server's clock."""
    profile = facts.live.cluster.profiles[0]
    limits = {profile.names.count: "1"}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "hami-doctor-"},
        "spec": {
            "containers": [{"name": "main", "image": "none", "resources": {"limits": limits, "requests": limits}}]
        },
    }
    try:
        facts.admitted = await client.create(f"{paths.NAMESPACES}/default/pods?dryRun=All", body)
    except (Refused, Unanswered) as error:
        facts.admission = str(error)
    else:
        created = datetime.datetime.fromisoformat(facts.admitted["metadata"]["creationTimestamp"])
        facts.skew = time.time() - created.timestamp()
