from __future__ import annotations

from pathlib import Path

import pytest

from hami_operator.config import ConfigError, load, read_devices
from hami_operator.reload import DeviceConfig

GOOD = """
nvidia:
  resourceCountName: nvidia.com/gpu
  resourceMemoryName: nvidia.com/vmem
  defaultMemory: 0
  deviceSplitCount: 10          # the plugin's, ignored here
  knownMigGeometries: []
"""


def test_hamis_own_file_is_read_as_it_is_and_only_its_sections_are_in_force(tmp_path: Path) -> None:
    file = tmp_path / "device-config.yaml"
    file.write_text(GOOD)
    devices = read_devices(file)
    assert devices.nvidia is not None
    assert (devices.nvidia.memory_name, devices.nvidia.core_name) == ("nvidia.com/vmem", "nvidia.com/gpucores")
    assert [profile.key for profile in devices.profiles()] == ["NVIDIA"]


def test_settings_that_name_the_file_take_their_families_from_it(tmp_path: Path) -> None:
    (tmp_path / "device-config.yaml").write_text(GOOD)
    (tmp_path / "settings.yaml").write_text(f"deviceConfigFile: {tmp_path / 'device-config.yaml'}\n")
    settings = load(tmp_path / "settings.yaml")
    assert settings.devices.nvidia is not None
    assert settings.devices.nvidia.memory_name == "nvidia.com/vmem"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nvidia: {defaultMemory: -1}", "nvidia.defaultMemory: -1"),
        ("nvidia: {gpuCorePolicy: maybe}", "nvidia.gpuCorePolicy: 'maybe'"),
        ("nvidia: 3", "nvidia: 3"),
        ("[1, 2]", "no YAML mapping"),
        ("nvidia: {", "no valid YAML"),
        ("", "no section of a family"),
        ("something: {}", "no section of a family"),
    ],
)
def test_a_bad_file_is_refused_naming_file_field_and_value(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "device-config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_devices(file)
    assert words in str(error.value)
    assert str(file) in str(error.value)


def test_a_file_that_goes_bad_keeps_the_last_good_one_and_is_taken_up_when_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "device-config.yaml"
    file.write_text(GOOD)
    config = DeviceConfig(file, read_devices(file))
    assert config.look() is None
    file.write_text("nvidia: {defaultCores: 400}")
    assert config.look() is None
    assert "nvidia.defaultCores: 400" in config.problem
    file.unlink()
    assert config.look() is None
    assert "No such file" in config.problem
    file.write_text(GOOD.replace("defaultMemory: 0", "defaultMemory: 2000"))
    found = config.look()
    assert found is not None
    assert found.nvidia is not None
    assert (found.nvidia.default_memory_mib, config.problem) == (2000, "")
    assert config.look() is None
