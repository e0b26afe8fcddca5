"""Sections of HAMi's ``device-config.yaml`` beside ``nvidia``: their keys as both layouts have them, their defaults.

Keys that only the device plugins read are ignored. Sources: HAMi v2.7.0 and v2.10.0
charts/hami/templates/scheduler/device-configmap.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hami_operator.allocators.sizes import partition


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def _name(default: str, alias: str) -> Any:
    return Field(default, alias=alias, min_length=1, max_length=317)


def _count(default: str) -> Any:
    return _name(default, "resourceCountName")


def _memory(default: str) -> Any:
    return _name(default, "resourceMemoryName")


def _cores(default: str) -> Any:
    return _name(default, "resourceCoreName")


class CambriconSection(_Keys):
    """Cambricon. ``dialect`` chooses the flag's spelling: 2.7 is the one that the vendor's plugin reads."""

    count_name: str = _count("cambricon.com/vmlu")
    memory_name: str = _memory("cambricon.com/mlu.smlu.vmemory")
    core_name: str = _cores("cambricon.com/mlu.smlu.vcore")
    dialect: Literal["2.7", "2.10", "both"] = "2.7"


class HygonSection(_Keys):
    """Hygon."""

    count_name: str = _count("hygon.com/dcunum")
    memory_name: str = _memory("hygon.com/dcumem")
    core_name: str = _cores("hygon.com/dcucores")
    memory_factor: int = Field(1, alias="memoryFactor", ge=1, le=1 << 20)


class IluvatarSection(_Keys):
    """Iluvatar as v2.7 has it: one family, counted from the node's amounts."""

    count_name: str = _count("iluvatar.ai/vgpu")
    memory_name: str = _memory("iluvatar.ai/vcuda-memory")
    core_name: str = _cores("iluvatar.ai/vcuda-core")


class _Chip(_Keys):
    word: str = Field(alias="commonWord", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")


Chip = TypeVar("Chip", bound=_Chip)


class IluvatarChip(_Chip):
    """One chip of Iluvatar as v2.10 has them: a family that registers its cards."""

    count_name: str = Field(alias="resourceCountName", min_length=1)
    memory_name: str = Field(alias="resourceMemoryName", min_length=1)
    core_name: str = Field(alias="resourceCoreName", min_length=1)


def _distinct(chips: tuple[Chip, ...]) -> tuple[Chip, ...]:
    """Chips of different names, which keys are made of."""
    words = [chip.word for chip in chips]
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        raise ValueError(f"commonWord {twice[0]!r} stands there twice")
    return chips


def _iluvatar_chip(word: str) -> IluvatarChip:
    amounts = f"iluvatar.ai/{word}"
    return IluvatarChip(
        word=word, count_name=f"{amounts}-vgpu", memory_name=f"{amounts}.vMem", core_name=f"{amounts}.vCore"
    )


class IluvatarsSection(_Keys):
    """The list ``iluvatars`` of v2.10; an empty mapping means the chips of its chart."""

    chips: tuple[IluvatarChip, ...] = tuple(
        _iluvatar_chip(word) for word in ("MR-V100", "MR-V50", "BI-V150", "BI-V100")
    )

    _words = field_validator("chips")(_distinct)

    @model_validator(mode="before")
    @classmethod
    def _list(cls, content: Any) -> Any:
        return {"chips": content} if isinstance(content, list) else content


class EnflameSection(_Keys):
    """Enflame: whole cards, percentages (v2.7) and partitions (v2.10).

    ``slicesPerCard`` and ``partitions`` are ours: the ``--slice-count`` of the device plugins, and the sizes that their
    cards are cut into, which admission can't see. The sizes are those of HAMi's documentation.
    """

    whole_name: str = _name("enflame.com/gcu", "resourceNameGCU")
    count_name: str = _name("enflame.com/vgcu", "resourceNameVGCU")
    percentage_name: str = _name("enflame.com/vgcu-percentage", "resourceNameVGCUPercentage")
    partition_name: str = _name("enflame.com/drs-gcu", "resourceNameDRSGCU")
    partition_memory_name: str = _name("enflame.com/gcu-memory", "resourceNameGCUMemory")
    partition_core_name: str = _name("enflame.com/gcu-core", "resourceNameGCUCore")
    slices: int = Field(6, alias="slicesPerCard", ge=1, le=99)
    partitions: tuple[str, ...] = Field(("1g.6gb", "3g.20gb", "6g.40gb"), min_length=1)

    @field_validator("partitions")
    @classmethod
    def _sizes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((name for name in names if partition(name) is None), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no partition such as 3g.20gb")
        return names


class MetaxSection(_Keys):
    """MetaX: whole cards and shares.

    HAMi scores nodes by their links only where told to; here it is the default. ``spreadTopologyPenalty`` is ours:
    under the node policy spread good links then count against a node.
    """

    whole_name: str = _count("metax-tech.com/gpu")
    count_name: str = _name("metax-tech.com/sgpu", "resourceVCountName")
    memory_name: str = _name("metax-tech.com/vmemory", "resourceVMemoryName")
    core_name: str = _name("metax-tech.com/vcore", "resourceVCoreName")
    topology_aware: bool = Field(default=True, alias="sgpuTopologyAware")
    spread_penalty: bool = Field(default=False, alias="spreadTopologyPenalty")


class KunlunSection(_Keys):
    """Kunlunxin: whole cards and slices."""

    count_name: str = _count("kunlunxin.com/xpu")
    slice_name: str = _name("kunlunxin.com/vxpu", "resourceVCountName")
    slice_memory_name: str = _name("kunlunxin.com/vxpu-memory", "resourceVMemoryName")


class AwsneuronSection(_Keys):
    """AWS Neuron: devices and cores."""

    count_name: str = _count("aws.amazon.com/neuron")
    core_name: str = _cores("aws.amazon.com/neuroncore")


class MthreadsSection(_Keys):
    """Moore Threads."""

    count_name: str = _count("mthreads.com/vgpu")
    memory_name: str = _memory("mthreads.com/sgpu-memory")
    core_name: str = _cores("mthreads.com/sgpu-core")


class AmdSection(_Keys):
    """AMD."""

    count_name: str = _count("amd.com/gpu")
    memory_name: str = _memory("amd.com/gpumem")
    core_name: str = _cores("amd.com/gpucores")


class BirenSection(_Keys):
    """Biren."""

    count_name: str = _count("birentech.com/gpu")


class VastaiSection(_Keys):
    """Vastai."""

    count_name: str = _count("vastaitech.com/va")


# -- Ascend ------------------------------------------------------------------------------------------------------


class AscendTemplate(_Keys):
    """A slice of a chip. Its cores are the plugin's business: with every known chip memory runs out first."""

    name: str = Field(min_length=1)
    memory_mib: int = Field(alias="memory", ge=1)


class AscendChip(_Chip):
    """One chip; ``templates`` may come in any order."""

    count_name: str = Field(alias="resourceName", min_length=1)
    memory_name: str = Field(alias="resourceMemoryName", min_length=1)
    core_name: str = Field("", alias="resourceCoreName")
    allocatable_mib: int = Field(alias="memoryAllocatable", ge=1)
    capacity_mib: int = Field(alias="memoryCapacity", ge=1)
    memory_factor: int = Field(1, alias="memoryFactor", ge=1, le=1 << 20)
    super_pod: bool = Field(default=False, alias="superPod")
    runtime_class: str = Field("", alias="runtimeClassName")
    overwrite_env: bool = Field(default=False, alias="overwriteEnv")
    templates: tuple[AscendTemplate, ...] = ()

    @model_validator(mode="after")
    def _cut_from_the_card(self) -> AscendChip:
        largest = max((template.memory_mib for template in self.templates), default=0)
        if not largest <= self.allocatable_mib <= self.capacity_mib:
            raise ValueError("memories of templates, memoryAllocatable and memoryCapacity must rise in this order")
        return self


def _ascend_chip(
    word: str, memory: tuple[int, int], templates: Mapping[str, int], *, super_pod: bool = False
) -> AscendChip:
    return AscendChip(
        word=word,
        count_name=f"huawei.com/{word}",
        memory_name=f"huawei.com/{word}-memory",
        core_name=f"huawei.com/{word}-core",
        allocatable_mib=memory[0],
        capacity_mib=memory[1],
        super_pod=super_pod,
        templates=tuple(AscendTemplate(name=name, memory_mib=mib) for name, mib in templates.items()),
    )


#: (allocatable, capacity) in MiB and the templates. HAMi: v2.7.0's templates of 910B4-1 are those of the smaller
#: 910B4, and a card of 64 GiB then sells twice the slices it has (#1497).
_SMALL, _LARGE = (32768, 32768), (65536, 65536)
_HALF_AND_QUARTER = {"vir05_1c_16g": 16384, "vir10_3c_32g": 32768}
ASCEND_CHIPS = (
    _ascend_chip("Ascend910A", _SMALL, {"vir02": 2184, "vir04": 4369, "vir08": 8738, "vir16": 17476}),
    _ascend_chip("Ascend910B2", _LARGE, {"vir03_1c_8g": 8192, "vir06_1c_16g": 16384, "vir12_3c_32g": 32768}),
    _ascend_chip("Ascend910B3", _LARGE, _HALF_AND_QUARTER),
    _ascend_chip("Ascend910B4-1", _LARGE, _HALF_AND_QUARTER),
    _ascend_chip("Ascend910B4", _SMALL, {"vir05_1c_8g": 8192, "vir10_3c_16g": 16384}),
    _ascend_chip("Ascend910C", _LARGE, _HALF_AND_QUARTER, super_pod=True),
    _ascend_chip("Ascend310P", (21527, 24576), {"vir01": 3072, "vir02": 6144, "vir04": 12288}),
)


class VnpusSection(_Keys):
    """Ascend, in v2.7's layout (a list of chips) or v2.10's (a mapping, whose defaults hold for every chip).

    An empty mapping means the chips of the chart. ``dialect`` is what the plugin is told: 2.10 adds the amounts.
    """

    soft: bool = Field(default=False, alias="hamiVnpuCore")
    dialect: Literal["2.7", "2.10"] = "2.10"
    chips: tuple[AscendChip, ...] = Field(ASCEND_CHIPS, alias="configs")

    _words = field_validator("chips")(_distinct)

    @model_validator(mode="before")
    @classmethod
    def _layouts(cls, content: Any) -> Any:
        if isinstance(content, list):
            return {"configs": content, "dialect": "2.7"}
        if not isinstance(content, Mapping) or not isinstance(content.get("configs"), list):
            return content
        shared = {key: content[key] for key in ("runtimeClassName", "overwriteEnv") if key in content}
        chips = [{**shared, **chip} if isinstance(chip, Mapping) else chip for chip in content["configs"]]
        return {**content, "configs": chips}
