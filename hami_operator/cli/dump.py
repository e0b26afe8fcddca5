"""``dump``: the live cluster as one scenario file, for ``simulate`` and for bug reports."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Any

import click
import yaml

from hami_operator.config import ConfigError, Settings, load
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.kube.errors import KubeError
from hami_operator.snapshot import anonymize, read_objects


@click.command()
@click.option("--anonymize", "masked", is_flag=True, help="Mask names; what decides stays.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="A kubeconfig; default as kubectl's.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The operator's settings file.")
def dump(*, masked: bool, kubeconfig: str | None, config: Path | None) -> None:
    """Write nodes, pods, quotas and all else that decisions look at as one scenario.

    \b
    Examples:
      kubectl hami dump > world.yaml && kubectl hami simulate world.yaml
      kubectl hami dump --anonymize > for-the-bug-report.yaml
    """
    try:
        settings = load(config)
        objects, left_out = asyncio.run(_read(kubeconfig))
    except (ConfigError, KubeError, OSError) as error:
        raise click.ClickException(str(error)) from None
    for kind in left_out:
        click.echo(f"not in it: {kind} (there is no such kind, or no right to list it)", err=True)
    click.echo(scenario_text(objects, settings, masked=masked), nl=False)


async def _read(kubeconfig: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    async with Client(await load_access(kubeconfig)) as client:
        return await read_objects(client)


def scenario_text(objects: list[dict[str, Any]], settings: Settings, *, masked: bool) -> str:
    """The scenario as YAML, with a line that says when it was taken."""
    kept = frozenset({"default", "kube-system", "kube-public", "kube-node-lease", settings.leader.namespace})
    shown = anonymize(objects, settings.devices.profiles(), kept) if masked else objects
    now = datetime.datetime.now(datetime.UTC)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    body: str = yaml.dump_all(shown, Dumper=dumper, sort_keys=False, allow_unicode=True, explicit_start=True)
    return f"# hami-operator dump, {now:%Y-%m-%dT%H:%M:%SZ}, {len(shown)} objects\n{body}"
