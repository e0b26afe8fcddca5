"""``run``: the operator process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import uvloop

from hami_operator.config import ConfigError, Settings, load
from hami_operator.kube.errors import KubeError

from .logs import FORMATTERS, set_up


@click.command()
@click.option("--kubeconfig", type=click.Path(dir_okay=False), help="A kubeconfig; inside a cluster none is needed.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="Settings, a YAML file.")
@click.option("-v", "--verbose", count=True, help="Say what each node answers; -vv: each card; -vvv: libraries too.")
@click.option("--log-format", type=click.Choice(sorted(FORMATTERS)), default="text", show_default=True)
def run(kubeconfig: str | None, config: Path | None, verbose: int, log_format: str) -> None:
    """Watch pods and nodes, decide, and bind.

    \b
    Example:
      hami-operator run --kubeconfig ~/.kube/config --config settings.yaml
    """
    try:
        settings = load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    set_up(verbose, log_format)
    sys.exit(_run(settings, kubeconfig))


def _run(settings: Settings, kubeconfig: str | None) -> int:
    from hami_operator import lifetime  # noqa: PLC0415 - Kopf takes a second to import, --help need not wait for it

    status = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(lifetime.run(settings, kubeconfig))
    except* (KubeError, OSError) as group:
        for error in _errors(group):
            click.echo(f"Error: {error}", err=True)
        status = 1
    return status


def _errors(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """What went wrong, out of the groups that the tasks were in."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _errors(error)
        else:
            yield error
