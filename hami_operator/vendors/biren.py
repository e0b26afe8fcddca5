"""Biren GPUs: whole cards, or whole instances of a card, by count alone.

Sources: HAMi v2.10.0 pkg/device/biren/device.go. The plugin empties the allocated list as containers start, so only our
own record tells later what a pod holds.
"""

from __future__ import annotations

from hami_operator.core import protocol
from hami_operator.core.request import read_request, registered_whole_devices
from hami_operator.core.vendor import WHOLE_CHECKS, CountName, Hooks, Profile, SelectionKeys, charge_nothing

SECTION = "biren"
KEY = "Biren"

#: The ``biren`` section of the device configuration.
Settings = CountName


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The one profile of this family."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            register_key="hami.io/node-biren-register",
            handshake_key="hami.io/node-handshake-biren",
            to_allocate_key="hami.io/Biren-devices-to-allocate",
            allocated_key="hami.io/Biren-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=read_request,
            inventory_of=registered_whole_devices,
            selection=SelectionKeys(
                use_uuid="birentech.com/use-gpuuuid",
                nouse_uuid="birentech.com/nouse-gpuuuid",
                use_type="birentech.com/use-biren",
                nouse_type="birentech.com/nouse-biren",
            ),
            checks=WHOLE_CHECKS,
            hooks=Hooks(charge=charge_nothing),
        ),
    )
