"""``fit``: would these pods start now, where, and how many of them? Asked of the live cluster, nothing is written."""

from __future__ import annotations

import asyncio
import copy
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from hami_operator.config import ConfigError, load
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.kube.errors import KubeError
from hami_operator.simulation.documents import Document, Place, read_documents
from hami_operator.simulation.errors import ScenarioError
from hami_operator.simulation.families import Families
from hami_operator.simulation.run import Simulation
from hami_operator.simulation.scenario import read_scenario
from hami_operator.snapshot import read_objects

from .simulate import admission

AUTO = "auto"
MOST = 2000


@click.command()
@click.option("-f", "--filename", "files", multiple=True, required=True, help="Pods or workloads; - is standard input.")
@click.option("--replicas", default="1", show_default=True, help="How many of each pod; auto: as many as fit.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="A kubeconfig; default as kubectl's.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The operator's settings file.")
def fit(files: tuple[str, ...], *, replicas: str, kubeconfig: str | None, config: Path | None) -> None:
    """Say whether pods would start now, where, and how many of them.

    Pods that are pending already are left out of account: this is about room, not about the queue. Status 1 when
    something would not start.

    \b
    Examples:
      kubectl hami fit -f pod.yaml
      kubectl hami fit -f pod.yaml --replicas auto
    """
    wanted = _count(replicas)
    try:
        settings = load(config)
        pods = [document for name in files for document in read_documents(name, _content(name))]
        documents = [*asyncio.run(_world(kubeconfig)), *_copies(pods, wanted)]
        simulation = Simulation(read_scenario(documents), settings, Families(settings.devices), admission(settings))
        rows = simulation.run(time.time()).content["pods"]
    except (ConfigError, KubeError, ScenarioError, OSError) as error:
        raise click.ClickException(str(error)) from None
    sys.exit(_tell(rows, auto=replicas == AUTO))


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


def _tell(rows: Sequence[dict[str, Any]], *, auto: bool) -> int:
    console = Console(highlight=False)
    placed = [row for row in rows if row["outcome"] == "placed"]
    kept_out = [row for row in rows if row["outcome"] != "placed"]
    nodes: dict[str, int] = {}
    for row in placed:
        nodes[row["node"]] = nodes.get(row["node"], 0) + 1
    if auto:
        more = " or more" if len(placed) == MOST else ""
        console.print(f"{len(placed)}{more} would start now")
    else:
        console.print(f"{len(placed)} of {len(rows)} would start now")
    for node in sorted(nodes):
        console.print(Text(f"  {node}: {nodes[node]}"))
    if len(placed) == 1:
        for share in placed[0]["devices"]:
            console.print(
                Text(f"    {share['container']}: {share['uuid']} {share['memory']} MiB, {share['cores']} cores")
            )
    if kept_out:
        row = kept_out[0]
        console.print(Text(f"then {row['namespace']}/{row['name']}: {row['message']}", style="yellow"))
    return 0 if placed and (auto or not kept_out) else 1
