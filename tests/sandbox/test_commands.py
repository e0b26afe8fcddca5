"""The command line: what it refuses and with which status. What it starts is tested on the real thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hami_operator.sandbox.commands import down_command, sandbox
from hami_operator.sandbox.disturb import read_integer, read_seconds
from hami_operator.sandbox.errors import BadSpec


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(sandbox, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--node", "v100:1"), "card type 'v100' is not known; known are a100-40"),
        (("--node", "t4"), "'t4' is not of the form TYPE:CARDS[xNODES]"),
        (("--name", "No"), "sandbox name 'No' is not allowed"),
        (("--driver", "both"), "'both' is not one of 'direct', 'extender', 'none'"),
        (("--plugin", "3.0"), "plugin release '3.0' is not known; known are 2.7"),
    ],
)
def test_what_is_written_wrongly_ends_with_status_2_and_what_is_allowed(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    status, output = run("up", "--simulated", f"--dir={tmp_path}", *arguments)
    assert status == 2
    assert problem in output


@pytest.mark.parametrize("command", [("status",), ("kubectl", "--", "version"), ("fault", "t4-0", "gone")])
def test_what_needs_a_running_sandbox_says_that_there_is_none(tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *rest = command
    status, output = run(name, f"--dir={tmp_path}", *rest)
    assert status == 1
    assert "no running sandbox 'default'" in output


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-1", "4000"])
def test_seconds_are_a_number_within_an_hour(text: str) -> None:
    with pytest.raises(BadSpec, match=f"seconds '{text}' is not allowed: a number from 0 to 3600"):
        read_seconds(text)
    assert read_seconds("1.5") == 1.5


@pytest.mark.parametrize("text", ["", "first", "1.5", "nan", "-1", "1" * 10])
def test_cards_are_named_by_a_whole_number(text: str) -> None:
    with pytest.raises(BadSpec, match=f"card '{text}' is not allowed: an integer from 0"):
        read_integer(text, "card")
    assert read_integer("-1", "times", -1) == -1


def test_a_value_for_a_fault_that_takes_none_is_refused(tmp_path: Path) -> None:
    status, output = run("fault", f"--dir={tmp_path}", "t4-0", "gone", "3")
    assert status == 2
    assert "gone takes no value, '3' was given" in output


@pytest.mark.parametrize(
    ("name", "parent", "command"),
    [
        ("default", None, "hami-operator sandbox down"),
        ("big", Path("my boxes"), "hami-operator sandbox down --name big --dir 'my boxes'"),
    ],
)
def test_up_says_how_to_end_just_what_it_started(name: str, parent: Path | None, command: str) -> None:
    assert down_command(name, parent) == command


def test_down_is_no_error_where_nothing_runs(tmp_path: Path) -> None:
    assert run("down", f"--dir={tmp_path}") == (0, "sandbox default was not there\n")


@pytest.mark.parametrize("command", ["up", "status", "down", "kubectl", "prepare", "fault", "exit"])
def test_each_command_helps_with_an_example(command: str) -> None:
    status, output = run(command, "--help")
    assert status == 0
    assert "Example" in output
    assert "hami-operator sandbox" in output
