"""``python -m hami_operator``: the command line."""

from hami_operator.cli.main import main

main()
