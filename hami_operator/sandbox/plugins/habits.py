"""What differs between device plugins, as values: names, texts, releases, and what a container is given."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hami_operator.core.model import Share


class Handshake(enum.Enum):
    """When a plugin writes its handshake annotation: with every registration, only with a changed one, never."""

    ALWAYS = "always"
    ON_CHANGE = "on-change"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Release:
    """What changed between releases of one plugin.

    ``json_register``: JSON, else the comma form. ``keeps_empty``: empty segments keep their place, and positions count
    init containers first; else they are dropped. ``more_word``: as long as the list of segments holds it, more
    containers follow. ``takes_success``: a Pending pod whose phase is ``success`` already may be taken up again.
    """

    name: str
    json_register: bool
    keeps_empty: bool
    handshake: Handshake
    more_word: str
    takes_success: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """One container's cards: what the plugin makes its answer of. ``env`` are the container's own plain variables."""

    shares: tuple[Share, ...]
    pod_uid: str
    container: str
    env: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount the plugin asks the kubelet for."""

    container_path: str
    host_path: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Injection:
    """A plugin's answer for one container: environment and mounts."""

    envs: Mapping[str, str]
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Habits:
    """One vendor's device plugin. ``resource`` is what the kubelet counts; ``releases`` by version, oldest first."""

    family: str
    resource: str
    register_key: str
    handshake_key: str
    to_allocate_key: str
    allocated_key: str
    mode: str
    cores: int
    releases: Mapping[str, Release]
    card_id: Callable[[uuid.UUID], str]
    type_text: Callable[[str, Release], str]
    inject: Callable[[Grant], Injection]

    @property
    def socket(self) -> str:
        """Name of the plugin's socket beside the kubelet's, after the resource: ``nvidia-gpu.sock``."""
        vendor, _, kind = self.resource.partition("/")
        return f"{vendor.partition('.')[0]}-{kind}.sock"
