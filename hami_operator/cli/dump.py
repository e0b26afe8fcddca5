"""``dump``: the live cluster as one scenario file, for ``simulate`` and for bug reports."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import click
import yaml

from hami_operator.config import Settings
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.snapshot import anonymize, read_objects

from .options import asked, config_option, kubeconfig_option, settings_of


@click.command()
@click.option("--anonymize", "masked", is_flag=True, help="Mask names; what decides stays.")
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="The form."
)
@kubeconfig_option
@config_option
def dump(*, masked: bool, output: str, kubeconfig: str | None, config: Path | None) -> None:
    """Write nodes, pods, quotas and all else that decisions look at as one scenario.

    \b
    Examples:
      kubectl hami dump > world.yaml && kubectl hami simulate world.yaml
      kubectl hami dump --anonymize > for-the-bug-report.yaml
    """
    settings = settings_of(config)
    objects, left_out = asked(_read(kubeconfig))
    for kind in left_out:
        click.echo(f"not in it: {kind} (there is no such kind, or no right to list it)", err=True)
    shown = anonymize(objects, settings.devices.profiles(), _kept(settings)) if masked else objects
    if output == "json":
        click.echo(json.dumps({"kind": "List", "apiVersion": "v1", "items": shown}, indent=2, ensure_ascii=False))
    else:
        click.echo(scenario_text(shown), nl=False)


def _kept(settings: Settings) -> frozenset[str]:
    """Names that tell nobody anything."""
    return frozenset({"default", "kube-system", "kube-public", "kube-node-lease", settings.leader.namespace})


async def _read(kubeconfig: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    async with Client(await load_access(kubeconfig)) as client:
        return await read_objects(client)


def scenario_text(objects: list[dict[str, Any]]) -> str:
    """The scenario as YAML, with a line that says when it was taken."""
    now = datetime.datetime.now(datetime.UTC)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    body: str = yaml.dump_all(objects, Dumper=dumper, sort_keys=False, allow_unicode=True, explicit_start=True)
    return f"# hami-operator dump, {now:%Y-%m-%dT%H:%M:%SZ}, {len(objects)} objects\n{body}"
