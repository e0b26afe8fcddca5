"""AMD GPUs: a percentage of a card's compute units, and its memory; the record names the model.

Sources: HAMi v2.10.0 pkg/device/amd/device.go; Project-HAMi/amd-device-plugin, which masks whole compute units.
"""

from __future__ import annotations

from collections.abc import Mapping

from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, Device
from hami_operator.core.request import amount, read_request, registered_devices
from hami_operator.core.vendor import (
    WHOLE_CHECKS,
    Admission,
    Charge,
    Check,
    FitContext,
    Hooks,
    Profile,
    SelectionKeys,
    SharedNames,
    charge_as_asked,
)

SECTION = "amd"
KEY = "AMD"

#: The ``amd`` section of the device configuration.
Settings = SharedNames


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            register_key="hami.io/node-amd-register",
            to_allocate_key="hami.io/amd-devices-to-allocate",
            allocated_key="hami.io/amd-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=read_request,
            inventory_of=registered_devices,
            selection=SelectionKeys(
                use_uuid="amd.com/use-gpu-uuid",
                nouse_uuid="amd.com/nouse-gpu-uuid",
                use_type="amd.com/use-gputype",
                nouse_type="amd.com/nouse-gputype",
            ),
            extra_keys=("hami.io/amd-cu-allocated",),
            core_default=100,
            model_label=True,
            one_container="the plugin takes the pod for done once the first has its card, and serves no other",
            checks=(*WHOLE_CHECKS, Check.MEMORY, Check.CORES),
            hooks=Hooks(admit=_admit, charge=_charge),
        ),
    )


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """An amount alone means one card. HAMi v2.10.0 takes such a pod over and then gives it none."""
    names = profile.names
    count = amount(container, names.count, 0, protocol.INT32_MAX)
    memory = amount(container, names.memory, 0, protocol.INT32_MAX)
    cores = amount(container, names.cores, 1, 100)
    if count == 0:
        raise InvalidRequest(f"container {container.name!r}: {names.count} is 0, allowed is an integer from 1")
    if count is None and memory is None and cores is None:
        return Admission()
    return Admission(claimed=True, resources={names.count: count or 1})


def _charge(context: FitContext, device: Device) -> Charge:
    """The percentage in whole compute units, rounded down, at least one."""
    asked = charge_as_asked(context, device)
    return Charge(asked.memory_mib, max(device.cores * asked.cores // 100, 1), device.cores)
