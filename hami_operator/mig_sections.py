"""What NVIDIA's MIG cards can be cut into, as HAMi's and Volcano's ``device-config.yaml`` write it, and the defaults.

Sources: HAMi v2.7.0 charts/hami/templates/scheduler/device-configmap.yaml (``knownMigGeometries``), v2.10.0
(``migProfileAllowlist``); Volcano's volcano-vgpu-device-config, whose layouts have names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hami_operator.core.protocol import INT32_MAX


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class MigKind(_Keys):
    """Equal parts of a layout."""

    name: str = Field(pattern=r"^[0-9]+g\.[^\[\]-]+$")
    memory_mib: int = Field(alias="memory", ge=1, le=INT32_MAX)
    count: int = Field(ge=1, le=64)


class MigLayout(_Keys):
    """One way to cut a card; a layout without a name is called by its position (HAMi), others by theirs (Volcano)."""

    name: str = Field(alias="group", pattern=r"^[^\[\]\s,:;-]+$")
    kinds: tuple[MigKind, ...] = Field(alias="geometries", min_length=1)


class MigGeometry(_Keys):
    """The layouts of cards of these models: HAMi's lists of lists, or Volcano's named groups."""

    models: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    layouts: tuple[MigLayout, ...] = Field(alias="allowedGeometries", min_length=1)

    @field_validator("layouts", mode="before")
    @classmethod
    def _named(cls, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        return [
            {"group": str(position), "geometries": each} if isinstance(each, list) else each
            for position, each in enumerate(content)
        ]

    @field_validator("layouts")
    @classmethod
    def _once(cls, layouts: tuple[MigLayout, ...]) -> tuple[MigLayout, ...]:
        names = [layout.name for layout in layouts]
        if len(set(names)) < len(names):
            raise ValueError(f"allowed is each group once, got {', '.join(names)}")
        return layouts


class MigAllowed(_Keys):
    """The profiles that HAMi v2.10's plugin offers on these models; what there is, the node's register tells."""

    models: tuple[str, ...] = Field(min_length=1)
    profiles: tuple[Annotated[str, Field(pattern=r"^[0-9]+g\..+$")], ...] = Field(min_length=1)


_Kinds = Mapping[str, tuple[int, int]]


def _geometry(models: tuple[str, ...], names: tuple[str, ...], *layouts: _Kinds) -> MigGeometry:
    """Layouts by name, each with (MiB, count) by profile."""
    return MigGeometry(
        models=models,
        layouts=tuple(
            MigLayout(
                name=name,
                kinds=tuple(MigKind(name=kind, memory_mib=mib, count=count) for kind, (mib, count) in kinds.items()),
            )
            for name, kinds in zip(names, layouts, strict=False)
        ),
    )


_A30 = ({"1g.6gb": (6144, 4)}, {"2g.12gb": (12288, 2)}, {"4g.24gb": (24576, 1)})
_A100_40 = (
    {"1g.5gb": (5120, 7)},
    {"2g.10gb": (10240, 3), "1g.5gb": (5120, 1)},
    {"3g.20gb": (20480, 2)},
    {"7g.40gb": (40960, 1)},
)
_A100_80 = (
    {"1g.10gb": (10240, 7)},
    {"2g.20gb": (20480, 3), "1g.10gb": (10240, 1)},
    {"3g.40gb": (40960, 2)},
    {"7g.79gb": (80896, 1)},
)
#: What drivers report for 80 GB cards, at the least.
_REAL_80 = (
    {"1g.10gb": (9728, 7)},
    {"2g.20gb": (19968, 3), "1g.10gb": (9728, 1)},
    {"3g.40gb": (40192, 2)},
    {"7g.80gb": (80896, 1)},
)
_A100_40_MODELS = ("A100-SXM4-40GB", "A100-40GB-PCIe", "A100-PCIE-40GB")
_A100_80_MODELS = ("A100-SXM4-80GB", "A100-80GB-PCIe", "A100-PCIE-80GB")

_POSITIONS = ("0", "1", "2", "3")
_GROUPS = ("group1", "group2", "group3", "group4")

#: HAMi's chart, and behind it the H100.
HAMI_GEOMETRIES = (
    _geometry(("A30",), _POSITIONS, *_A30),
    _geometry(_A100_40_MODELS, _POSITIONS, *_A100_40),
    _geometry(_A100_80_MODELS, _POSITIONS, *_A100_80),
    _geometry(("H100 80GB HBM3", "H100 PCIe", "H100-SXM5-80GB", "H100-PCIE-80GB"), _POSITIONS, *_REAL_80),
)

#: The file that Volcano's plugin ships.
VOLCANO_GEOMETRIES = (
    _geometry(("A30",), _GROUPS, *_A30),
    _geometry(_A100_40_MODELS, _GROUPS, *_A100_40),
    _geometry(_A100_80_MODELS, _GROUPS, *_REAL_80),
)


class VolcanoSection(_Keys):
    """Volcano's vGPU names, for nodes of its device plugin; ours alone, and off unless the section is there.

    Of Volcano's own configuration it takes the names and the geometries as they are.
    """

    count_name: str = Field("volcano.sh/vgpu-number", alias="resourceCountName", min_length=1)
    memory_name: str = Field("volcano.sh/vgpu-memory", alias="resourceMemoryName", min_length=1)
    memory_percent_name: str = Field("volcano.sh/vgpu-memory-percentage", alias="resourceMemoryPercentageName")
    core_name: str = Field("volcano.sh/vgpu-cores", alias="resourceCoreName", min_length=1)
    memory_factor: Literal[1] = Field(1, alias="gpuMemoryFactor")
    mig_geometries: tuple[MigGeometry, ...] = Field(VOLCANO_GEOMETRIES, alias="knownMigGeometries")
