"""The log on standard error: text or JSON lines, and how much of it."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from collections.abc import Callable, Mapping

from hami_operator.decisionlog import CARDS
from hami_operator.visible import visible

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class TextFormatter(logging.Formatter):
    """A line per record; what names and annotations bring in can't break out of it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without a traceback."""
        return visible(super().formatMessage(record))


class JsonFormatter(logging.Formatter):
    """A JSON object per line: time (RFC 3339), level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The object as text."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        fields = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


FORMATTERS: Mapping[str, Callable[[], logging.Formatter]] = {
    "text": lambda: TextFormatter(_TEXT),
    "json": JsonFormatter,
}


def set_up(verbosity: int, form: str) -> None:
    """Log to standard error. ``verbosity`` 0: a line per decision; 1: per node; 2: per card; 3: libraries as well."""
    logging.addLevelName(CARDS, "CARDS")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATTERS[form]())
    logging.basicConfig(level=logging.DEBUG if verbosity > 2 else logging.INFO, handlers=[handler], force=True)
    logging.getLogger("hami_operator").setLevel((logging.INFO, logging.DEBUG, CARDS)[min(verbosity, 2)])
    if verbosity < 3:
        for name in ("kopf", "aiohttp"):
            logging.getLogger(name).setLevel(logging.WARNING)
