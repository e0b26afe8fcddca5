"""The direction of imports is a fact: who may import whom, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("hami_operator", "webhook")

#: Importer -> all that it may import of ours (prefixes). Longer importer names win over shorter ones.
ALLOWED: dict[str, tuple[str, ...]] = {
    "hami_operator.core": ("hami_operator.core",),
    "hami_operator.allocators": ("hami_operator.core", "hami_operator.allocators"),
    "hami_operator.vendors": ("hami_operator.core", "hami_operator.allocators", "hami_operator.vendors"),
    "hami_operator.simulation": ("hami_operator.core", "hami_operator.config", "hami_operator.simulation"),
    "hami_operator.sandbox": ("hami_operator.core", "hami_operator.kube", "hami_operator.sandbox"),
    "webhook.mutate": ("hami_operator.core", "webhook.catalogue"),
    "webhook.catalogue": ("hami_operator.core",),
}

#: Importer -> what it may not import (prefixes), ours or others'. The importer "" is everybody.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "hami_operator.handlers": ("hami_operator.serving", "hami_operator.agent"),
    "hami_operator.serving": ("hami_operator.handlers", "hami_operator.agent"),
    "hami_operator.agent": ("hami_operator.handlers", "hami_operator.serving"),
}

#: What only these may import.
ONLY: dict[str, tuple[str, ...]] = {
    "kopf": ("hami_operator.handlers",),
    "kubernetes_asyncio": ("hami_operator.kube",),
    "webhook": ("webhook", "hami_operator.cli"),
    "hami_operator.sandbox": ("hami_operator.sandbox", "hami_operator.cli"),
}

PURE = ("hami_operator.core", "hami_operator.allocators", "hami_operator.vendors")

#: Of the standard library, what reaches out of a pure function: clocks, chance, logs, files, processes, waiting.
NOT_PURE = frozenset(
    {"asyncio", "concurrent", "logging", "os", "pathlib", "queue", "random", "secrets", "select", "shutil", "signal"}
    | {"socket", "subprocess", "tempfile", "threading", "time", "urllib"}
)


def modules() -> dict[str, Path]:
    found = {}
    for package in OURS:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imported(module: str, file: Path) -> set[str]:
    """Full names of all that a module imports, at whatever depth of its code."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names: set[str] = set()
    for item in ast.walk(ast.parse(file.read_text())):
        if isinstance(item, ast.Import):
            names.update(alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            base = item.module or ""
            if item.level:
                parts = package.split(".")
                above = ".".join(parts[: len(parts) - item.level + 1])
                base = f"{above}.{base}" if base else above
            names.update(_target(base, alias.name) for alias in item.names)
    return names


def _target(base: str, name: str) -> str:
    """``from package import module`` imports the module; anything else is a name inside ``base``."""
    return f"{base}.{name}" if f"{base}.{name}" in MODULES else base


IMPORTS = {module: imported(module, file) for module, file in MODULES.items()}


def inside(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    layer = max((prefix for prefix in ALLOWED if inside(module, [prefix])), key=len, default=None)
    ours = {name for name in IMPORTS[module] if inside(name, OURS)}
    if layer is not None:
        assert [name for name in sorted(ours) if not inside(name, ALLOWED[layer])] == []
    for importer, names in FORBIDDEN.items():
        if inside(module, [importer]):
            assert [name for name in sorted(ours) if inside(name, names)] == []
    for name, importers in ONLY.items():
        if not inside(module, importers):
            assert [found for found in sorted(IMPORTS[module]) if inside(found, [name])] == []


@pytest.mark.parametrize("module", [module for module in MODULES if inside(module, PURE)])
def test_a_pure_module_imports_nothing_that_waits_logs_or_knows_the_time(module: str) -> None:
    roots = {name.partition(".")[0] for name in IMPORTS[module]} - set(OURS)
    assert sorted(roots - sys.stdlib_module_names - {"numpy"}) == []
    assert sorted(roots & NOT_PURE) == []


def test_vendors_do_not_import_each_other() -> None:
    vendors = [module for module in MODULES if inside(module, ["hami_operator.vendors"]) and module.count(".") == 2]
    assert vendors
    for module in vendors:
        others = {name for name in IMPORTS[module] if inside(name, ["hami_operator.vendors"])}
        assert others <= {module}, f"{module} imports {others}"


def test_the_reader_of_imports_sees_all_forms() -> None:
    assert "hami_operator.core.model" in IMPORTS["hami_operator.core.protocol"]
    assert "hami_operator.vendors.nvidia" in IMPORTS["hami_operator.vendors"]
    assert "webhook.mutate" in IMPORTS["hami_operator.cli.simulate"]
    assert all(inside(name, MODULES) for found in IMPORTS.values() for name in found if inside(name, OURS))
