"""``scheduler-configuration``: what a kube-scheduler needs to ask us."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from hami_operator import schedulerconfig

from .options import config_option, settings_of

#: Stands above the printed object.
HEADER = "# Printed by `hami-operator scheduler-configuration`: run it again after a change of settings.\n"


@click.command("scheduler-configuration")
@config_option
def scheduler_configuration(config: Path | None) -> None:
    """Print the KubeSchedulerConfiguration of the driver "extender", with the names of all families in force.

    \b
    Example:
      hami-operator scheduler-configuration --config manifests/base/config.yaml
    """
    text = yaml.safe_dump(schedulerconfig.render(settings_of(config)), sort_keys=False)
    click.echo(HEADER + text, nl=False)
