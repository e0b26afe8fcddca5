"""Register texts as plugins write them, read quickly: nodes repeat them with every report.

What is unusual in any way is answered with None, and then read field by field in ``protocol``, which names what is
wrong. Where there is an answer it is the one that ``protocol`` would give.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter, itemgetter
from typing import Any

from .model import Device

#: Numbers of so many digits, and those below a power of two, are all below 2^31.
_DIGITS, _LIMIT = 9, 1 << 30

_NUMAS = {str(numa): numa for numa in range(-1, 16)}
_HEALTH = {"true": True, "false": False}

_order = attrgetter("index", "uuid")

#: The setters of a card's slots, in the order of its fields: half of the time went into ``__init__`` of a frozen class,
#: which looks every field up by name.
_uuid, _index, _slots, _memory, _cores, _type, _numa, _healthy, _mode, _custom, _parts = (
    Device.__dict__[name].__set__ for name in Device.__slots__
)

#: uuid, index, slots, MiB, cores, type, NUMA node, health, mode.
_Fields = tuple[str, int, int, int, int, str, int, bool, str]


def _device(fields: _Fields) -> Device:
    """A card without facts of its own."""
    device = object.__new__(Device)
    uuid, index, slots, memory, cores, kind, numa, healthy, mode = fields
    _uuid(device, uuid)
    _index(device, index)
    _slots(device, slots)
    _memory(device, memory)
    _cores(device, cores)
    _type(device, kind)
    _numa(device, numa)
    _healthy(device, healthy)
    _mode(device, mode)
    _custom(device, {})
    _parts(device, 0)
    return device


def read_comma_records(text: str) -> tuple[Device, ...] | None:
    """Cards of the comma form with nine fields each, by (index, uuid)."""
    if not text.isascii() or ";" in text or not text.endswith(":"):
        return None
    devices, uuids = [], set()
    try:
        for record in text[:-1].split(":"):
            uuid, slots, memory, cores, kind, numa, health, index, mode = record.split(",")
            if not (uuid and slots.isdecimal() and memory.isdecimal() and cores.isdecimal() and index.isdecimal()):
                return None
            if len(slots) > _DIGITS or len(memory) > _DIGITS or len(cores) > _DIGITS or len(index) > _DIGITS:
                return None
            uuids.add(uuid)
            numbers = int(index), int(slots), int(memory), int(cores)
            devices.append(_device((uuid, *numbers, kind, _NUMAS[numa], _HEALTH[health], mode)))
    except (KeyError, ValueError):
        return None
    return _sorted(devices, uuids)


def _sorted(devices: list[Device], uuids: set[str]) -> tuple[Device, ...] | None:
    devices.sort(key=_order)
    return tuple(devices) if len(uuids) == len(devices) else None


#: Keys of the JSON form, in the order of ``_Fields``, and what an absent one stands for.
_ABSENT: Mapping[str, Any] = {
    "id": "",
    "index": 0,
    "count": 0,
    "devmem": 0,
    "devcore": 0,
    "type": "",
    "numa": 0,
    "health": False,
    "mode": "",
}
_fields = itemgetter(*_ABSENT)


def read_json_records(text: str, records: object) -> tuple[Device, ...] | None:
    """Cards of the JSON form without facts of their own, by (index, uuid); ``records`` is the content of ``text``."""
    if "\\" in text or not text.isascii() or type(records) is not list:  # half characters can't be sent on
        return None
    devices, uuids = [], set()
    for record in records:
        if type(record) is not dict or "custominfo" in record or "migProfiles" in record:
            return None
        fields = _fields({**_ABSENT, **record})
        uuid, index, slots, memory, cores, kind, numa, healthy, mode = fields
        texts = type(uuid) is type(kind) is type(mode) is str and uuid
        numbers = type(index) is type(slots) is type(memory) is type(cores) is type(numa) is int
        if not (texts and numbers and type(healthy) is bool):
            return None
        if not 0 <= index | slots | memory | cores | numa < _LIMIT:
            return None
        uuids.add(uuid)
        devices.append(_device(fields))
    together = "".join(uuids)
    if ":" in together or "," in together or ";" in together:
        return None
    return _sorted(devices, uuids)
