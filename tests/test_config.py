"""Settings: the file, then the environment; what can't be used names file, field and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hami_operator.config import ConfigError, DevicesSection, Settings, load, parse


def test_without_file_and_environment_the_defaults_hold() -> None:
    settings = load()
    assert settings.scheduler_name == "hami-scheduler"
    assert (settings.policies.values().node, settings.policies.values().card) == ("binpack", "spread")
    assert settings.devices.profiles()[0].key == "NVIDIA"


def test_a_file_is_read_in_camel_case(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("schedulerName: mine\npolicies: {node: spread}\nwebhook: {privileged: warn}\n")
    settings = load(file)
    assert (settings.scheduler_name, settings.policies.node, settings.webhook.privileged) == ("mine", "spread", "warn")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("policies: {node: binpack, card: binpack}\n")
    monkeypatch.setenv("HAMI_POLICIES__NODE", "spread")
    policies = load(file).policies
    assert (policies.node, policies.card) == ("spread", "binpack")


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("# nothing\n")
    assert load(file) == load()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"policies": {"node": "tight"}}, ["policies.node", "'tight'", "binpack"]),
        ({"nodeLock": {"expireSeconds": 0}}, ["expireSeconds", "0"]),
        ({"shedulerName": "x"}, ["shedulerName", "'x'"]),
        ({"devices": {"nvidia": {"defaultMemory": -1}}}, ["devices.nvidia.defaultMemory", "-1"]),
        ({"devices": {"nvidia": {"resourceCountName": ""}}}, ["devices.nvidia.resourceCountName", "''"]),
    ],
)
def test_a_value_that_is_not_allowed_is_named(content: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(content, "some.yaml")
    assert str(caught.value).startswith("some.yaml: ")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("text", "words"), [("[1]", "no YAML mapping"), ("a: [", "no valid YAML")])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load(tmp_path / "absent.yaml")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().scheduler_name = "other"  # type: ignore[misc]


def test_the_devices_section_reads_the_layout_of_hamis_own_file() -> None:
    section = {
        "resourceCountName": "example.com/gpu",
        "defaultMemory": 4000,
        "deviceSplitCount": 10,
        "knownMigGeometries": [
            {"models": ["A30"], "allowedGeometries": [[{"name": "1g.6gb", "memory": 6144, "count": 4}]]}
        ],
        "migProfileAllowlist": [{"models": ["A30"], "profiles": ["1g.6gb", "1g.6gb+me"]}],
    }
    profile = DevicesSection.model_validate({"nvidia": section, "hygon": {"resourceCountName": "x"}}).profiles()[0]
    assert profile.names.count == "example.com/gpu"
    assert profile.memory_default_mib == 4000


def test_a_vendor_set_to_null_is_not_in_force() -> None:
    keys = [profile.key for profile in DevicesSection(nvidia=None).profiles()]
    assert "NVIDIA" not in keys
    assert DevicesSection(**dict.fromkeys(DevicesSection.model_fields)).profiles() == ()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"knownMigGeometries": [{"models": ["A30"], "allowedGeometries": []}]}, "allowedGeometries"),
        ({"knownMigGeometries": [{"models": [], "allowedGeometries": [[]]}]}, "models"),
        (
            {"knownMigGeometries": [{"models": ["A30"], "allowedGeometries": [[{"name": "small", "memory": 1}]]}]},
            r"allowedGeometries\.0\.geometries\.0\.name",
        ),
        (
            {
                "knownMigGeometries": [
                    {
                        "models": ["A30"],
                        "allowedGeometries": [
                            {"group": "g-1", "geometries": [{"name": "1g.6gb", "memory": 6144, "count": 4}]}
                        ],
                    }
                ]
            },
            r"allowedGeometries\.0\.group",
        ),
        ({"migProfileAllowlist": [{"models": ["A30"], "profiles": ["half"]}]}, r"migProfileAllowlist\.0\.profiles"),
    ],
)
def test_a_mig_section_that_cannot_be_is_refused_by_its_field(section: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DevicesSection.model_validate({"nvidia": section})
