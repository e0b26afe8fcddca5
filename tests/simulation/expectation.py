"""Scenario files of the suite: a scenario, then a document ``kind: Expectation`` that holds any part of the result.

Mappings are matched as subsets; ``null`` stands for a key that is absent; ``{contains: text}`` for a part of a text.
Pods, nodes and quotas are found by name (and namespace), cards of the world by uuid (and node); every other list is
matched item by item. Beside parts of the result an Expectation may hold ``arguments`` (of the command line),
``settings`` (content of ``--config``), ``status`` (exit status, default 0) and ``stderr`` (parts of what is told).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from hami_operator.cli.main import main

NOW = "2025-10-09T08:53:20Z"

#: Lists that are matched by key instead of by position, and the keys.
_FOUND_BY = {
    "pods": ("namespace", "name"),
    "nodes": ("name",),
    "quotas": ("kind", "namespace", "name"),
    "world": ("node", "uuid"),
}


def simulate(*arguments: str, text: str | bytes | None = None) -> Result:
    """Run the real command line in this process."""
    return CliRunner().invoke(main, ["simulate", "--now", NOW, *arguments], input=text, catch_exceptions=False)


def check_file(file: Path, folder: Path) -> None:
    """Simulate one scenario file and compare; ``folder`` is a place for the settings file."""
    wanted = _expectation(file)
    arguments = [str(argument) for argument in wanted.pop("arguments", [])]
    if "settings" in wanted:
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(wanted.pop("settings")))
        arguments += ["--config", str(config)]
    told = wanted.pop("stderr", [])
    status = wanted.pop("status", 0)
    result = simulate("--output", "json", *arguments, str(file))
    assert result.exit_code == status, result.output
    for part in told:
        assert part in result.stderr
    if wanted:
        content = json.loads(result.stdout)
        content["world"] = content.pop("devices")
        if "devices" in wanted:
            wanted["world"] = wanted.pop("devices")
        problems = differences("result", wanted, content)
        assert not problems, "\n".join(problems)


def _expectation(file: Path) -> dict[str, Any]:
    documents = [item for item in yaml.safe_load_all(file.read_text()) if item]
    last: dict[str, Any] = documents[-1]
    assert last.pop("kind") == "Expectation", f"{file.name} does not end with an Expectation"
    assert last, f"the Expectation of {file.name} is empty"
    return last


def differences(path: str, wanted: Any, found: Any) -> list[str]:
    """One line per part that is not as wanted."""
    if isinstance(wanted, Mapping) and set(wanted) == {"contains"}:
        inside = isinstance(found, str) and wanted["contains"] in found
        return [] if inside else [f"{path}: {found!r} does not contain {wanted['contains']!r}"]
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [f"{path}: {found!r} is no mapping"]
        return [line for key in wanted for line in differences(f"{path}.{key}", wanted[key], found.get(key))]
    if isinstance(wanted, list):
        if not isinstance(found, list):
            return [f"{path}: {found!r} is no list"]
        return _list_differences(path, wanted, found)
    return [] if wanted == found else [f"{path}: {found!r} is not {wanted!r}"]


def _list_differences(path: str, wanted: Sequence[Any], found: Sequence[Any]) -> list[str]:
    keys = _FOUND_BY.get(path.rpartition(".")[2])
    if keys is None:
        if len(wanted) != len(found):
            return [f"{path}: {found!r} has not {len(wanted)} items"]
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for i, (one, other) in pairs for line in differences(f"{path}[{i}]", one, other)]
    lines = []
    for item in wanted:
        named = {key: item[key] for key in keys if key in item}
        same = [other for other in found if named.items() <= other.items()]
        name = f"{path}[{', '.join(map(str, named.values()))}]"
        if len(same) != 1:
            lines.append(f"{name}: there are {len(same)} of them")
        else:
            lines += differences(name, item, same[0])
    return lines
