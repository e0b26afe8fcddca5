"""The log's two forms."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from hami_operator.cli.logs import JsonFormatter, TextFormatter, set_up
from hami_operator.decisionlog import CARDS


def record(text: str, *arguments: object, error: bool = False) -> logging.LogRecord:
    info = sys.exc_info() if error else None
    return logging.LogRecord("hami_operator.loop", logging.WARNING, __file__, 1, text, arguments, info)


def test_what_acts_on_terminals_is_written_out_in_text() -> None:
    line = TextFormatter("%(message)s").format(record("pod %s: %s", "a\u202eb", "x\x1b[31m\ny"))
    assert line == "pod a\\u202eb: x\\x1b[31m\\ny"


def test_json_is_one_object_per_line_with_time_level_logger_and_message() -> None:
    line = JsonFormatter().format(record("pod %s waits", "a\nb"))
    assert "\n" not in line
    found = json.loads(line)
    assert found["time"].endswith("Z")
    assert {key: found[key] for key in ("level", "logger", "message")} == {
        "level": "warning",
        "logger": "hami_operator.loop",
        "message": "pod a\nb waits",
    }


def test_json_has_the_traceback_of_an_error() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        line = JsonFormatter().format(record("oops", error=True))
    assert "ValueError: broken" in json.loads(line)["error"]


@pytest.fixture
def restored() -> object:
    """The loggers as they were."""
    names = (None, "hami_operator", "kopf", "aiohttp")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("verbosity", "level", "libraries"),
    [(0, logging.INFO, logging.WARNING), (1, logging.DEBUG, logging.WARNING), (2, CARDS, logging.WARNING)],
)
def test_verbosity_goes_from_decisions_to_nodes_to_cards(verbosity: int, level: int, libraries: int) -> None:
    set_up(verbosity, "text")
    assert logging.getLogger("hami_operator.decisionlog").getEffectiveLevel() == level
    assert logging.getLogger("kopf").getEffectiveLevel() == libraries
