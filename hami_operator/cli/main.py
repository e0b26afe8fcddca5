"""The commands, each in a file of its own."""

from __future__ import annotations

import click

from hami_operator import __version__
from hami_operator.sandbox.commands import sandbox

from .demo import demo
from .doctor import doctor
from .dump import dump
from .explain import explain_command
from .fit import fit
from .run import run
from .scheduler import scheduler_configuration
from .simulate import simulate
from .top import top


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hami-operator")
def main() -> None:
    """Share accelerators between pods, and give each pod the right ones.

    \b
    Try it without hardware:
      hami-operator sandbox up --node a100-80:8 --node t4:4x2
    Ask what would happen:
      hami-operator simulate cluster.yaml my-pod.yaml
    """


main.add_command(demo)
main.add_command(doctor)
main.add_command(dump)
main.add_command(explain_command)
main.add_command(fit)
main.add_command(top)
main.add_command(run)
main.add_command(scheduler_configuration)
main.add_command(simulate)
main.add_command(sandbox)
