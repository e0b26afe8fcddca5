"""How HAMi-WebUI 1.2 reads a pod, from its documented rules and not from our code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Annotation with the allocation -> the type that its entries must bear for metrics to be found (None: none are).
ALLOCATED = {
    "hami.io/vgpu-devices-allocated": "NVIDIA",
    "hami.io/dcu-devices-allocated": "DCU",
    "hami.io/metax-gpu-devices-allocated": "Metax-GPU",
    "hami.io/metax-sgpu-devices-allocated": "Metax-SGPU",
}


@dataclass(frozen=True)
class Entry:
    """A card of a container as the WebUI shows it: cores 0 are shown as 100."""

    container: str
    uuid: str
    type: str
    memory_mib: int
    cores: int


class BackendDied(Exception):
    """An index out of range in its informer: the process dies, is restarted, and dies again for ever."""


def is_shown(pod: Mapping[str, Any]) -> bool:
    return "hami.io/vgpu-node" in pod["metadata"]["annotations"] and pod["status"]["phase"] not in (
        "Failed",
        "Succeeded",
    )


def read(annotation: str, containers: Sequence[str]) -> list[Entry]:
    """Segment i belongs to app container i."""
    segments = annotation.split(";")
    found = []
    for index, name in enumerate(containers):
        if index >= len(segments):
            raise BackendDied(f"{annotation!r} has no segment for container {index}")
        for text in segments[index].split(":"):
            fields = text.split(",")
            if len(fields) >= 4:
                cores = int(fields[3])
                found.append(Entry(name, fields[0], fields[1], int(fields[2]), cores or 100))
    return found
