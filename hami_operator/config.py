"""Settings: a YAML file, then the environment; frozen once read. The only home of defaults that users may change.

Environment variables are ``HAMI_`` and the field's name, nested with two underscores: ``HAMI_POLICIES__NODE=spread``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hami_operator import device_sections as sections
from hami_operator.core.cluster import Policies
from hami_operator.core.vendor import Profile
from hami_operator.mig_sections import HAMI_GEOMETRIES, MigAllowed, MigGeometry, VolcanoSection
from hami_operator.vendors import profiles


class ConfigError(Exception):
    """The settings can't be used; the text names the field, its value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class NvidiaSection(BaseModel):
    """The ``nvidia`` section of HAMi's ``device-config.yaml``; keys that only its device plugin reads are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    count_name: str = Field("nvidia.com/gpu", alias="resourceCountName", min_length=1)
    memory_name: str = Field("nvidia.com/gpumem", alias="resourceMemoryName")
    memory_percent_name: str = Field("nvidia.com/gpumem-percentage", alias="resourceMemoryPercentageName")
    core_name: str = Field("nvidia.com/gpucores", alias="resourceCoreName")
    priority_name: str = Field("nvidia.com/priority", alias="resourcePriorityName")
    default_memory_mib: int = Field(0, alias="defaultMemory", ge=0)
    default_cores: int = Field(0, alias="defaultCores", ge=0, le=100)
    default_count: int = Field(1, alias="defaultGPUNum", ge=0)
    overwrite_env: bool = Field(default=False, alias="overwriteEnv")
    core_policy: Literal["", "default", "force", "disable"] = Field("default", alias="gpuCorePolicy")
    runtime_class: str = Field("", alias="runtimeClassName")
    topology: Literal["auto", "require", "prefer"] = "auto"
    mig_geometries: tuple[MigGeometry, ...] = Field(HAMI_GEOMETRIES, alias="knownMigGeometries")
    mig_allowlist: tuple[MigAllowed, ...] = Field((), alias="migProfileAllowlist")


class DevicesSection(BaseModel):
    """Device configuration, one section per vendor; a vendor set to null is not in force.

    HAMi starts Ascend, and Iluvatar by chips, with a flag alone (``--enable-ascend``, ``--enable-iluvatar``): they are
    in force when their section is there, ``vnpus: {}`` and ``iluvatars: {}`` with the chips of its chart.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    nvidia: NvidiaSection | None = NvidiaSection()
    cambricon: sections.CambriconSection | None = sections.CambriconSection()
    hygon: sections.HygonSection | None = sections.HygonSection()
    iluvatar: sections.IluvatarSection | None = sections.IluvatarSection()
    iluvatars: sections.IluvatarsSection | None = None
    enflame: sections.EnflameSection | None = sections.EnflameSection()
    mthreads: sections.MthreadsSection | None = sections.MthreadsSection()
    metax: sections.MetaxSection | None = sections.MetaxSection()
    kunlun: sections.KunlunSection | None = sections.KunlunSection()
    awsneuron: sections.AwsneuronSection | None = sections.AwsneuronSection()
    amd: sections.AmdSection | None = sections.AmdSection()
    biren: sections.BirenSection | None = sections.BirenSection()
    vastai: sections.VastaiSection | None = sections.VastaiSection()
    vnpus: sections.VnpusSection | None = None
    volcano: VolcanoSection | None = None

    def profiles(self) -> tuple[Profile, ...]:
        """The families in force, in their fixed order."""
        found = {name: section.model_dump() for name, section in self if section is not None}
        counted, chips = found.pop("iluvatar", None), found.pop("iluvatars", {})
        if counted or chips:
            found["iluvatar"] = {"counted": counted, **chips}
        return profiles(found)


class PoliciesSection(_Section):
    """Policies of pods that name none."""

    node: Literal["binpack", "spread"] = "binpack"
    card: str = "spread"

    def values(self) -> Policies:
        """As the decision takes them."""
        return Policies(node=self.node, card=self.card)


class WebhookSection(_Section):
    """Admission."""

    force_overwrite_default_scheduler: bool = True
    privileged: Literal["deny", "warn"] = "deny"
    shared_lock: Literal["allow", "deny"] = "allow"


class NodeLockSection(_Section):
    """The node lock ``hami.io/mutex.lock``."""

    expire_seconds: float = Field(300, gt=0)
    wait_seconds: float = Field(120, gt=0)


class LeaderSection(_Section):
    """Leader election on a Lease. A single replica takes part too: that is what fences a predecessor."""

    namespace: str = "hami-system"
    name: str = "hami-operator"
    lease_seconds: int = Field(15, ge=3)
    renew_deadline_seconds: float = Field(10, gt=0)
    retry_seconds: float = Field(2, gt=0)

    @model_validator(mode="after")
    def _times_rise(self) -> LeaderSection:
        if not 1.2 * self.retry_seconds < self.renew_deadline_seconds < self.lease_seconds:
            raise ValueError("1.2 times retrySeconds, renewDeadlineSeconds and leaseSeconds must rise in this order")
        return self


class ExtenderSection(_Section):
    """With ``driver: extender``, where kube-scheduler asks us, how long it waits, and what our marks weigh with it.

    There is no TLS and nobody is asked who they are: the address is to be one that kube-scheduler alone can reach.
    """

    host: str = "127.0.0.1"
    port: int = Field(9396, ge=1, le=65535)
    timeout_seconds: float = Field(30, ge=10)
    request_mib: int = Field(16, ge=1)
    weight: int = Field(200, ge=1, le=1_000_000)


class ServingSection(_Section):
    """Addresses of the operator's own endpoints, and who may read them.

    ``access``: everybody who reaches the port, or bearers of a token whose account may GET the path.
    """

    host: str = "0.0.0.0"
    port: int = Field(9395, ge=0, le=65535)
    access: Literal["open", "token"] = "open"


#: As YAML reads ``2.10``: a number, which has lost its zero.
_GENERATIONS = {"2.1": "2.10"}


class MetricsSection(_Section):
    """HAMi's metrics: the generations of names that are exported.

    ``legacy_labels``: 2.7's labels whose values change with every allocation, too, each of which begins a new series.
    """

    generations: tuple[Literal["2.7", "2.10"], ...] = ("2.10",)
    legacy_labels: bool = False

    @field_validator("generations", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        texts = [str(item) if isinstance(item, int | float) else item for item in value]
        return [_GENERATIONS.get(text, text) if isinstance(text, str) else text for text in texts]


class QuotaSection(_Section):
    """``crd``: whether our kind of quota is installed. With "on" nothing is placed before it has been listed."""

    crd: Literal["on", "off"] = "on"

    @field_validator("crd", mode="before")
    @classmethod
    def _as_yaml_reads_it(cls, value: object) -> object:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class ReserveSection(_Section):
    """What is left free on every node for pods of other schedulers."""

    cpu: str = "0"
    memory: str = "0"


class Settings(BaseSettings):
    """All settings of the operator and the webhook.

    ``driver``: whether we are the scheduler ourselves, or a kube-scheduler beside us is, which asks us about cards.
    ``adopt``: set it while taking over from HAMi's own scheduler. ``device_config_file`` is HAMi's
    ``device-config.yaml``, as its chart mounts it; it then takes the place of ``devices``, is followed while we run,
    and a family without a section in it is not in force.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        env_prefix="HAMI_",
        env_nested_delimiter="__",
    )

    scheduler_name: str = Field("hami-scheduler", min_length=1, max_length=253)
    driver: Literal["direct", "extender"] = "direct"
    policies: PoliciesSection = PoliciesSection()
    devices: DevicesSection = DevicesSection()
    device_config_file: Path | None = None
    webhook: WebhookSection = WebhookSection()
    node_lock: NodeLockSection = NodeLockSection()
    leader: LeaderSection = LeaderSection()
    serving: ServingSection = ServingSection()
    extender: ExtenderSection = ExtenderSection()
    metrics: MetricsSection = MetricsSection()
    quota: QuotaSection = QuotaSection()
    reserve: ReserveSection = ReserveSection()
    resync_seconds: float = Field(300, gt=0)
    adopt: bool = False
    watch: Literal["kopf", "stream"] = "kopf"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content comes as keyword arguments."""
        return env_settings, init_settings


def load(path: Path | None = None) -> Settings:
    """Settings from a YAML file (none: defaults) and the environment.

    Raises:
        ConfigError: the file can't be read, is no YAML mapping, or a value is not allowed.
    """
    settings = parse(_read(path) if path else {}, str(path or "environment"))
    if settings.device_config_file is None:
        return settings
    return settings.model_copy(update={"devices": read_devices(settings.device_config_file)})


def read_devices(path: Path) -> DevicesSection:
    """The families of a ``device-config.yaml``. Raises ConfigError."""
    return parse_devices(_read(path), str(path))


def parse_devices(content: Mapping[str, Any], source: str) -> DevicesSection:
    """The families of its content; one without a section is not in force. Raises ConfigError."""
    if all(content.get(name) is None for name in DevicesSection.model_fields):
        raise ConfigError(f"{source}: no section of a family that is known ({', '.join(DevicesSection.model_fields)})")
    try:
        return DevicesSection.model_validate({**dict.fromkeys(DevicesSection.model_fields), **content})
    except ValidationError as error:
        raise ConfigError(_first(error, source)) from None


def parse(content: Mapping[str, Any], source: str) -> Settings:
    """Settings from a mapping; ``source`` names it in errors. Raises ConfigError."""
    try:
        return Settings(**content)
    except ValidationError as error:
        raise ConfigError(_first(error, source)) from None


def _first(error: ValidationError, source: str) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{source}: {field}: {first['input']!r}: {first['msg']}"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: no valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: the file is no YAML mapping")
    return content
