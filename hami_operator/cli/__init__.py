"""The command line: ``hami-operator``, and the same as a kubectl plugin (``kubectl hami``)."""
