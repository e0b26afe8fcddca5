"""``run``: the operator process."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import click
import uvloop

from hami_operator.config import ConfigError, Settings, load
from hami_operator.kube.errors import KubeError

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.command()
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="A kubeconfig; inside a cluster none is needed.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="Settings, a YAML file.")
@click.option("-v", "--verbose", count=True, help="Say more; twice: also what Kopf and aiohttp do.")
def run(kubeconfig: str | None, config: Path | None, verbose: int) -> None:
    """Watch pods and nodes, decide, and bind.

    \b
    Example:
      hami-operator run --kubeconfig ~/.kube/config --config settings.yaml
    """
    try:
        settings = load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    _set_up_logging(verbose)
    sys.exit(_run(settings, kubeconfig))


def _run(settings: Settings, kubeconfig: str | None) -> int:
    from hami_operator import app  # noqa: PLC0415 - Kopf takes a second to import, --help need not wait for it

    status = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(app.run(settings, kubeconfig))
    except* (KubeError, OSError) as group:
        for error in group.exceptions:
            click.echo(f"Error: {error}", err=True)
        status = 1
    return status


def _set_up_logging(verbose: int) -> None:
    logging.basicConfig(level=logging.DEBUG if verbose > 1 else logging.INFO, format=_FORMAT, stream=sys.stderr)
    logging.getLogger("hami_operator").setLevel(logging.DEBUG if verbose else logging.INFO)
    if verbose < 2:
        for name in ("kopf", "aiohttp"):
            logging.getLogger(name).setLevel(logging.WARNING)
