"""The device configuration of HAMi's charts, both layouts, and what in it can't be."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hami_operator.config import ConfigError, DevicesSection, read_devices

#: As HAMi v2.10.0's chart renders it, beside the families whose sections did not change.
NEW = """
hygon:
  resourceCountName: hygon.com/dcunum
  resourceMemoryName: hygon.com/dcumem
  resourceCoreName: hygon.com/dcucores
  memoryFactor: 1
iluvatars:
- chipName: MR-V100
  commonWord: MR-V100
  resourceCountName: iluvatar.ai/MR-V100-vgpu
  resourceMemoryName: iluvatar.ai/MR-V100.vMem
  resourceCoreName: iluvatar.ai/MR-V100.vCore
amd:
  resourceCountName: amd.com/gpu
  resourceCoreName: amd.com/gpucores
  resourceMemoryName: amd.com/gpumem
vastai:
  resourceCountName: vastaitech.com/va
biren:
  resourceCountName: birentech.com/gpu
vnpus:
  hamiVnpuCore: false
  configs:
  - chipName: 910A
    commonWord: Ascend910A
    resourceName: huawei.com/Ascend910A
    resourceMemoryName: huawei.com/Ascend910A-memory
    resourceCoreName: huawei.com/Ascend910A-core
    memoryAllocatable: 32768
    memoryCapacity: 32768
    memoryFactor: 1
    aiCore: 30
    runtimeClassName: ""
    overwriteEnv: false
    templates: [{name: vir02, memory: 2184, aiCore: 2}]
"""

#: As v2.7.0's chart renders it.
OLD = """
iluvatar:
  resourceCountName: iluvatar.ai/vgpu
  resourceMemoryName: iluvatar.ai/vcuda-memory
  resourceCoreName: iluvatar.ai/vcuda-core
mthreads:
  resourceCountName: mthreads.com/vgpu
  resourceMemoryName: mthreads.com/sgpu-memory
  resourceCoreName: mthreads.com/sgpu-core
vnpus:
- chipName: 310P3
  commonWord: Ascend310P
  resourceName: huawei.com/Ascend310P
  resourceMemoryName: huawei.com/Ascend310P-memory
  memoryAllocatable: 21527
  memoryCapacity: 24576
  aiCore: 8
  aiCPU: 7
  templates: [{name: vir01, memory: 3072, aiCore: 1, aiCPU: 1}]
"""

CHIP = {
    "commonWord": "A",
    "resourceName": "x/a",
    "resourceMemoryName": "x/m",
    "memoryAllocatable": 4,
    "memoryCapacity": 4,
}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (NEW, ["DCU", "MR-V100", "AMD", "Biren", "Vastai", "Ascend910A"]),
        (OLD, ["Iluvatar", "Mthreads", "Ascend310P"]),
        ("vnpus: []\nhygon: {memoryFactor: 2}", ["DCU"]),
    ],
)
def test_a_file_of_either_chart_brings_its_families_and_no_other(tmp_path: Any, text: str, keys: list[str]) -> None:
    path = tmp_path / "device-config.yaml"
    path.write_text(text)
    assert [profile.key for profile in read_devices(path).profiles()] == keys


def test_families_that_need_a_flag_in_hami_are_in_force_when_they_are_named() -> None:
    usual = {profile.key for profile in DevicesSection().profiles()}
    named = {profile.key for profile in DevicesSection(vnpus={}, iluvatars={}).profiles()}
    assert {"Iluvatar", "AMD", "Biren", "Vastai"} <= usual
    assert named - usual == {
        *("MR-V100", "MR-V50", "BI-V150", "BI-V100"),
        *("Ascend910A", "Ascend910B2", "Ascend910B3", "Ascend910B4-1", "Ascend910B4", "Ascend910C", "Ascend310P"),
    }


def test_a_vendor_set_to_null_is_not_in_force() -> None:
    keys = {profile.key for profile in DevicesSection(hygon=None, iluvatar=None).profiles()}
    assert not {"DCU", "Iluvatar"} & keys


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"vnpus": [{**CHIP, "commonWord": "A b"}]}, "vnpus.configs.0.commonWord: 'A b'"),
        ({"vnpus": [CHIP, CHIP]}, "commonWord 'A' stands there twice"),
        ({"vnpus": [{**CHIP, "memoryAllocatable": 5}]}, "must rise in this order"),
        ({"vnpus": [{**CHIP, "templates": [{"name": "t", "memory": 5}]}]}, "must rise in this order"),
        ({"vnpus": {"configs": [{**CHIP, "memoryFactor": 0}]}}, "vnpus.configs.0.memoryFactor: 0"),
        ({"vnpus": {"configs": ["A"]}}, "vnpus.configs.0: 'A'"),
        ({"vnpus": {"dialect": "2.8"}}, "vnpus.dialect: '2.8'"),
        ({"iluvatars": [3]}, "iluvatars.chips.0: 3"),
        ({"enflame": {"partitions": ["3g.20gb", "51g.9gb"]}}, "'51g.9gb' is no partition such as 3g.20gb"),
        ({"hygon": {"memoryFactor": 0}}, "hygon.memoryFactor: 0"),
        ({"cambricon": {"resourceCoreName": ""}}, "cambricon.resourceCoreName: ''"),
        ({"biren": {"resourceCountName": 7}}, "biren.resourceCountName: 7"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_field_and_value(tmp_path: Any, content: Any, problem: str) -> None:
    path = tmp_path / "device-config.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        read_devices(path)
    assert problem in str(caught.value)
