"""Options that several commands have, and how they read the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from hami_operator.config import ConfigError, Settings, load
from hami_operator.core.errors import ObjectError
from hami_operator.kube.errors import KubeError
from hami_operator.live import Live, read

kubeconfig_option = click.option(
    "--kubeconfig", type=click.Path(dir_okay=False), help="A kubeconfig; default as kubectl's."
)
config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="The operator's settings file."
)
output_option = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For whom."
)


Value = TypeVar("Value")


def asked(question: Coroutine[Any, Any, Value]) -> Value:
    """The cluster's answer. Raises ClickException: a sentence, and status 1."""
    try:
        return asyncio.run(question)
    except (KubeError, ObjectError, OSError) as error:
        raise click.ClickException(str(error)) from None


def settings_of(config: Path | None) -> Settings:
    """The operator's settings. Raises ClickException."""
    try:
        return load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


def read_live(kubeconfig: str | None, config: Path | None) -> Live:
    """The cluster as it is now. Raises ClickException."""
    return asked(read(settings_of(config), kubeconfig))
