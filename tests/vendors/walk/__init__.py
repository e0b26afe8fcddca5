"""A long random walk over every family: see ``__main__``."""
