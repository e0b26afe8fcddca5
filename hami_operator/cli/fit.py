"""``fit``: would these pods start now, where, and how many of them? Asked of the live cluster, nothing is written."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.simulation.documents import Document, Place, read_documents
from hami_operator.simulation.errors import ScenarioError
from hami_operator.simulation.families import Families
from hami_operator.simulation.run import Simulation
from hami_operator.simulation.scenario import read_scenario
from hami_operator.snapshot import read_objects

from .options import asked, config_option, kubeconfig_option, output_option, settings_of
from .paper import console, words
from .simulate import admission

AUTO = "auto"
MOST = 2000


@click.command()
@click.option("-f", "--filename", "files", multiple=True, required=True, help="Pods or workloads; - is standard input.")
@click.option("--replicas", default="1", show_default=True, help="How many of each pod; auto: as many as fit.")
@output_option
@kubeconfig_option
@config_option
def fit(files: tuple[str, ...], *, replicas: str, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """Say whether pods would start now, where, and how many of them.

    Pods that are pending already are left out of account: this is about room, not about the queue. Status 1 when
    something would not start.

    \b
    Examples:
      kubectl hami fit -f pod.yaml
      kubectl hami fit -f pod.yaml --replicas auto
    """
    wanted, settings = _count(replicas), settings_of(config)
    try:
        pods = [document for name in files for document in read_documents(name, _content(name))]
        documents = [*asked(_world(kubeconfig)), *_copies(pods, wanted)]
        simulation = Simulation(read_scenario(documents), settings, Families(settings.devices), admission(settings))
        rows = simulation.run(time.time()).content["pods"]
    except (ScenarioError, OSError) as error:
        raise click.ClickException(str(error)) from None
    facts = _facts(rows, auto=replicas == AUTO)
    if output == "json":
        click.echo(json.dumps(facts, indent=2))
    else:
        _tell(facts)
    sys.exit(0 if facts["starting"] and (replicas == AUTO or facts["waits"] is None) else 1)


def _count(replicas: str) -> int:
    if replicas == AUTO:
        return MOST
    if not replicas.isdecimal() or not 1 <= int(replicas) <= MOST:
        raise click.BadParameter(f"{replicas!r} is not {AUTO} or a number from 1 to {MOST}", param_hint="--replicas")
    return int(replicas)


def _content(name: str) -> bytes:
    with click.open_file(name, "rb") as stream:
        data: bytes = stream.read()
        return data


async def _world(kubeconfig: str | None) -> list[Document]:
    async with Client(await load_access(kubeconfig)) as client:
        objects, _ = await read_objects(client)
    running = (obj for obj in objects if not _pending(obj))
    return [Document(Place("the cluster", number, "object"), obj) for number, obj in enumerate(running, 1)]


def _pending(obj: dict[str, Any]) -> bool:
    if obj["kind"] != "Pod":
        return False
    over = (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not over and not (obj.get("spec") or {}).get("nodeName")


def _copies(pods: Iterable[Document], count: int) -> Iterator[Document]:
    """Each pod so many times, under names of its own; workloads stand for their replicas already."""
    for document in pods:
        content = document.content
        if count == 1 or content.get("kind") != "Pod":
            yield document
            continue
        for number in range(count):
            made = copy.deepcopy(dict(content))
            metadata = dict(made.get("metadata") or {})
            made["metadata"] = metadata | {"name": f"{metadata.get('name', 'pod')}-{number}"}
            metadata.pop("uid", None)
            yield Document(document.place, made)


def _facts(rows: Sequence[dict[str, Any]], *, auto: bool) -> dict[str, Any]:
    """``asked`` is None where as many were tried as fit; ``devices`` are those of the first pod."""
    placed = [row for row in rows if row["outcome"] == "placed"]
    waits = next((row for row in rows if row["outcome"] != "placed"), None)
    nodes = Counter(row["node"] for row in placed)
    return {
        "asked": None if auto else len(rows),
        "starting": len(placed),
        "nodes": dict(sorted(nodes.items())),
        "devices": placed[0]["devices"] if placed else [],
        "waits": {"pod": f"{waits['namespace']}/{waits['name']}", "message": waits["message"]} if waits else None,
    }


def _tell(facts: Mapping[str, Any]) -> None:
    paper, starting = console(), facts["starting"]
    if facts["asked"] is None:
        more = " or more" if starting == MOST else ""
        paper.print(f"{starting}{more} would start now")
    else:
        paper.print(f"{starting} of {facts['asked']} would start now")
    for node, count in facts["nodes"].items():
        paper.print(words(f"  {node}: {count}"))
    for share in facts["devices"] if starting == 1 else ():
        cores = f", {share['cores']} cores" if share["cores"] else ""
        paper.print(words(f"    {share['container']}: {share['uuid']} {share['memory']} MiB{cores}"))
    if facts["waits"] is not None:
        paper.print(words(f"then {facts['waits']['pod']}: {facts['waits']['message']}", "yellow"))
