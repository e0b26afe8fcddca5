"""Hygon DCUs: shared by memory and cores; a card whose cores are not asked for is taken whole.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/hygon/device.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from hami_operator.core import protocol
from hami_operator.core.request import read_request, registered_devices
from hami_operator.core.vendor import Profile, SelectionKeys, SharedNames

SECTION = "hygon"
KEY = "DCU"


@dataclass(frozen=True, slots=True)
class Settings(SharedNames):
    """The ``hygon`` section of the device configuration; ``memory_factor`` is the MiB of one memory amount."""

    memory_factor: int


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            register_key="hami.io/node-dcu-register",
            handshake_key="hami.io/node-handshake-dcu",
            to_allocate_key="hami.io/dcu-devices-to-allocate",
            allocated_key="hami.io/dcu-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=read_request,
            inventory_of=registered_devices,
            selection=SelectionKeys(
                use_uuid="hygon.com/use-gpuuuid",
                nouse_uuid="hygon.com/nouse-gpuuuid",
                use_type="hygon.com/use-dcutype",
                nouse_type="hygon.com/nouse-dcutype",
            ),
            memory_unit_mib=settings.memory_factor,
            core_default=100,
        ),
    )
