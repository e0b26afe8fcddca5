"""``hami-operator simulate``: what would the operator do with these objects? No cluster is read or written."""

from __future__ import annotations

import datetime
import functools
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from hami_operator import config
from hami_operator.core import fields
from hami_operator.core.model import LabelSelector, Requirement
from hami_operator.core.node_fit import selects
from hami_operator.core.vendor import Profile
from hami_operator.simulation.documents import Document, Json, read_documents, read_line
from hami_operator.simulation.errors import ScenarioError
from hami_operator.simulation.families import Families
from hami_operator.simulation.quotas import CHANGE_FORM, Change, changed, read_change
from hami_operator.simulation.result import Result
from hami_operator.simulation.run import Admission, Admit, Admitted, Denied, Simulation
from hami_operator.simulation.scenario import read_scenario
from hami_operator.simulation.table import write_table
from webhook import mutate
from webhook.catalogue import Catalogue
from webhook.configuration import render

STDIN = "-"

#: Exit statuses of the contract.
ALL_PLACED, SOME_NOT_PLACED, BAD_INPUT = 0, 1, 2


def _moment(context: click.Context, option: click.Parameter, value: str | None) -> float:
    """An RFC 3339 time as unix seconds; the clock where none is given. A text without a zone is a usage error."""
    if value is None:
        return time.time()
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(f"{value!r} is not an RFC 3339 time such as 2025-10-09T08:53:20Z", context, option)
    return moment.timestamp()


def _changes(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[Change, ...]:
    try:
        return tuple(read_change(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from None


@dataclass(slots=True)
class _Run:
    """What the command line chose, and the objects that were not used."""

    settings: config.Settings
    families: Families
    admission: Admission
    now: float
    lenient: bool
    changes: tuple[Change, ...] = ()
    ignored: Counter[str] = field(default_factory=Counter)

    def simulate(self, documents: Iterable[Document]) -> Result:
        """One scenario. Raises ScenarioError for bad input, which impossible worlds are unless lenient."""
        scenario = read_scenario(documents)
        self.ignored += scenario.ignored
        scenario.quotas = changed(scenario.quotas, self.changes)
        simulation = Simulation(scenario, self.settings, self.families, self.admission)
        if simulation.impossible and not self.lenient:
            raise ScenarioError(simulation.impossible)
        for sentence in simulation.impossible:
            click.echo(f"warning: {sentence}", err=True)
        return simulation.run(self.now)

    def tell(self) -> None:
        """One line about objects that were not used."""
        if self.ignored:
            counted = ", ".join(f"{count} {kind}" for kind, count in sorted(self.ignored.items()))
            click.echo(f"not used: {counted}", err=True)


@click.command("simulate")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The operator's settings file.")
@click.option(
    "--now", callback=_moment, metavar="RFC3339", help="The time that lands in annotations. Default: the clock."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    help="Default: table; of a batch always json, one per line.",
)
@click.option("--batch", is_flag=True, help="Each line of the input is one scenario: a JSON List or array of objects.")
@click.option(
    "--lenient", is_flag=True, help="Warn of impossible worlds and go on with the operator's quarantine rules."
)
@click.option(
    "--set-quota",
    "changes",
    multiple=True,
    callback=_changes,
    metavar=CHANGE_FORM,
    help="What if hard were this? May be given several times.",
)
def simulate(
    files: Sequence[str],
    config_file: Path | None,
    now: float,
    output: str | None,
    batch: bool,  # noqa: FBT001 - a command line flag
    lenient: bool,  # noqa: FBT001 - a command line flag
    changes: tuple[Change, ...],
) -> None:
    """Say which node and cards pods would get, or why none: from files alone, by the code that decides live.

    FILE holds ordinary Kubernetes objects as YAML or JSON; - or none is standard input. Pods that are bound or over
    are the world; all others want in, and so do the pods of Jobs, Deployments, ReplicaSets and StatefulSets.

    \b
    Exit status: 0  every pod of ours was placed
                 1  some were not
                 2  bad input, told on standard error
    Of a batch it is the highest of its lines; a bad line gives {"error": "..."} in its place.

    \b
    Examples:
      kubectl get nodes,pods -A -o yaml | hami-operator simulate - new-pod.yaml
      hami-operator simulate --now 2025-10-09T08:53:20Z --output json world.yaml
      hami-operator simulate --set-quota team-a/team-a:limits.nvidia.com/gpumem=80000 world.yaml
      hami-operator simulate --batch --output json < scenarios.jsonl
    """
    if batch and output not in (None, "json"):
        raise click.UsageError(f"--batch writes json, one result per line; --output {output} is for single scenarios")
    try:
        settings = config.load(config_file)
        run = _Run(settings, Families(settings.devices), admission(settings), now, lenient, changes)
        status = _batch(run, files) if batch else _single(run, files, output or "table")
    except (ScenarioError, config.ConfigError) as error:
        for problem in error.problems if isinstance(error, ScenarioError) else (error,):
            click.echo(f"error: {problem}", err=True)
        status = BAD_INPUT
    else:
        run.tell()
    sys.exit(status)


def _single(run: _Run, files: Sequence[str], output: str) -> int:
    documents = [document for name in files or (STDIN,) for document in read_documents(_named(name), _read(name))]
    result = run.simulate(documents)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    encoded = msgspec.json.encode(result.content)
    if output == "table":
        write_table(result.content, sys.stdout)
    elif output == "json":
        sys.stdout.buffer.write(msgspec.json.format(encoded, indent=2) + b"\n")
    else:
        click.echo(
            yaml.safe_dump(msgspec.json.decode(encoded), sort_keys=False, allow_unicode=True, width=1000), nl=False
        )
    return ALL_PLACED if result.complete else SOME_NOT_PLACED


def _batch(run: _Run, files: Sequence[str]) -> int:
    """Every line answered at once, so that a caller may wait for one answer before it writes the next scenario."""
    status = ALL_PLACED
    for source, number, line in _lines(files or (STDIN,)):
        try:
            result = run.simulate(read_line(source, number, line))
            content, answer = result.content, ALL_PLACED if result.complete else SOME_NOT_PLACED
        except ScenarioError as error:
            content, answer = {"error": str(error)}, BAD_INPUT
        sys.stdout.buffer.write(msgspec.json.encode(content) + b"\n")
        sys.stdout.buffer.flush()
        status = max(status, answer)
    return status


def _lines(files: Iterable[str]) -> Iterator[tuple[str, int, bytes]]:
    for name in files:
        try:
            with click.open_file(name, "rb") as stream:
                yield from ((_named(name), number, line) for number, line in enumerate(stream, 1))
        except OSError as error:
            raise ScenarioError([f"{name}: {error.strerror}"]) from None


def _read(name: str) -> bytes:
    try:
        with click.open_file(name, "rb") as stream:
            data: bytes = stream.read()
            return data
    except OSError as error:
        raise ScenarioError([f"{name}: {error.strerror}"]) from None


def _named(name: str) -> str:
    return "<standard input>" if name == STDIN else name


# -- admission ---------------------------------------------------------------------------------------------------


def admission(settings: config.Settings) -> Admission:
    """The webhook's own code, asked about the pods that its configuration sends it."""
    wanted = mutate.Settings(
        scheduler_name=settings.scheduler_name,
        overwrite_default_scheduler=settings.webhook.force_overwrite_default_scheduler,
        privileged=mutate.Privileged(settings.webhook.privileged),
        shared_lock=mutate.SharedLock(settings.webhook.shared_lock),
    )

    @functools.lru_cache(maxsize=64)
    def of_families(profiles: tuple[Profile, ...]) -> Admit:
        webhook = render(profiles, settings.leader.namespace)["webhooks"][0]
        namespaces, objects = _selector(webhook["namespaceSelector"]), _selector(webhook["objectSelector"])
        catalogue = Catalogue(profiles)

        def admit(pod: Json, namespace_labels: Mapping[str, str]) -> Admitted | Denied | None:
            metadata = fields.mapping(pod, "metadata")
            name = fields.text(metadata, "namespace", "metadata.", default="default")
            labels = fields.text_map(metadata, "labels", "metadata.")
            called = selects(namespaces, {"kubernetes.io/metadata.name": name, **namespace_labels})
            if not called or not selects(objects, labels):
                return None
            verdict = mutate.mutate_pod(pod, catalogue, wanted)
            if isinstance(verdict, mutate.Refusal):
                return Denied(verdict.message)
            return Admitted(verdict.operations, verdict.warnings)

        return admit

    return of_families


def _selector(raw: Mapping[str, Any]) -> LabelSelector:
    """A selector of the webhook configuration as a value."""
    return LabelSelector(
        expressions=tuple(
            Requirement(item["key"], item["operator"], tuple(item["values"])) for item in raw["matchExpressions"]
        )
    )
