"""``doctor``: look an installation over and say what is wrong, each with what mends it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from hami_operator import schedulerconfig
from hami_operator.config import ConfigError, Settings, parse
from hami_operator.doctor import Facts, Finding, examine
from hami_operator.doctor.installation import KUBE_SCHEDULER, OPERATOR, OUR_CRD, RIGHTS
from hami_operator.kube import paths
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.kube.errors import Denied, NotFound, Refused, Unanswered
from hami_operator.live import read

from .options import asked, config_option, kubeconfig_option, output_option, settings_of
from .paper import console, words

log = logging.getLogger(__name__)


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
        questions: dict[str, Callable[[], Awaitable[Any]]] = {
            "deployments": partial(_items, client, "/apis/apps/v1/deployments"),
            "webhooks": partial(_items, client, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
            "lease": partial(_maybe, client, f"{paths.leases(namespace)}/{lease}"),
            "crd": partial(_maybe, client, f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{OUR_CRD}"),
            "missing_rights": partial(_missing_rights, client, namespace),
            "skew": partial(_skew, client),
        }
        for name, question in questions.items():
            try:
                setattr(facts, name, await question())
            except Denied as error:
                facts.hidden[name] = error.message
        await _try_admission(client, facts)
        await _read_scheduler(client, facts)
    return facts


async def _items(client: Client, path: str) -> list[dict[str, Any]]:
    return [item async for page in client.pages(path) for item in page.items]


async def _maybe(client: Client, path: str) -> dict[str, Any] | None:
    try:
        return await client.get(path)
    except NotFound:
        return None


# -- kube-scheduler ----------------------------------------------------------------------------------------------


async def _read_scheduler(client: Client, facts: Facts) -> None:
    """The configuration of the kube-scheduler in the operator's pods, and what their settings make of it."""
    mounted = {volume["name"]: volume.get("configMap", {}).get("name", "") for volume in _volumes(facts)}
    if KUBE_SCHEDULER not in mounted:
        return
    try:
        facts.scheduler_configuration = await _mounted(client, facts, mounted[KUBE_SCHEDULER], "kube-scheduler.yaml")
        settings = parse(await _mounted(client, facts, mounted.get("config", ""), "config.yaml"), "config.yaml")
        facts.scheduler_expected = schedulerconfig.render(settings)
    except Denied as error:
        facts.hidden["scheduler_configuration"] = error.message
    except ConfigError as error:
        log.info("the operator's settings can't be read: %s", error)


def _volumes(facts: Facts) -> Iterator[dict[str, Any]]:
    """Of the operator's pods."""
    for deployment in facts.deployments:
        if (deployment["metadata"]["namespace"], deployment["metadata"]["name"]) == (facts.namespace, OPERATOR):
            yield from deployment["spec"]["template"]["spec"].get("volumes") or ()


async def _mounted(client: Client, facts: Facts, name: str, file: str) -> dict[str, Any]:
    """A YAML file of a ConfigMap; empty where there is none, or none that can be read."""
    found = await _maybe(client, f"{paths.NAMESPACES}/{facts.namespace}/configmaps/{name}") if name else None
    try:
        content = yaml.safe_load(((found or {}).get("data") or {}).get(file, ""))
    except yaml.YAMLError:
        content = None
    return content if isinstance(content, dict) else {}


# -- rights ------------------------------------------------------------------------------------------------------


async def _missing_rights(client: Client, namespace: str) -> list[str]:
    """What the operator's account may not do, as ``verb verb group/resource``."""
    wanted = [(verb, group, resource) for group, resource, verbs in RIGHTS for verb in verbs.split()]
    allowed = await asyncio.gather(*(_allowed(client, namespace, *right) for right in wanted))
    missing: dict[str, list[str]] = {}
    for (verb, group, resource), may in zip(wanted, allowed, strict=True):
        if not may:
            missing.setdefault("/".join(filter(None, (group, resource))), []).append(verb)
    return [f"{' '.join(verbs)} {resource}" for resource, verbs in missing.items()]


async def _allowed(client: Client, namespace: str, verb: str, group: str, resource: str) -> bool:
    """By a SubjectAccessReview, which is answered and not stored."""
    kind, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": kind, "subresource": subresource}
    if kind == "leases":
        attributes["namespace"] = namespace
    user = f"system:serviceaccount:{namespace}:hami-operator"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = await client.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"].get("allowed"))


# -- dry runs ----------------------------------------------------------------------------------------------------


async def _skew(client: Client) -> float:
    """Our clock minus the API server's, in seconds: the time that it gives to an object which it does not store."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "hami-doctor-"}}
    made = await client.create(f"{paths.NAMESPACES}/default/configmaps?dryRun=All", body)
    return time.time() - datetime.datetime.fromisoformat(made["metadata"]["creationTimestamp"]).timestamp()


async def _try_admission(client: Client, facts: Facts) -> None:
    """A pod that asks for the first family's cards: whether it is admitted, and to whom it is given."""
    limits = {facts.live.cluster.profiles[0].names.count: "1"}
    container = {"name": "main", "image": "none", "resources": {"limits": limits, "requests": limits}}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "hami-doctor-"},
        "spec": {"containers": [container]},
    }
    try:
        facts.admitted = await client.create(f"{paths.NAMESPACES}/default/pods?dryRun=All", body)
    except (Refused, Unanswered) as error:
        if "cannot create resource" in str(error):  # the caller's own rights; admission is not asked then
            facts.hidden["admission"] = str(error)
        else:
            facts.admission = str(error)
