"""The wire contract with HAMi's device plugins: keys, texts, and their readers and writers. No I/O.

Strict on what we write, tolerant on what we read; what can't be read is a ``ProtocolError``, never a zero.
Sources: HAMi v2.7.0 pkg/device/devices.go (codecs), pkg/util/types.go (keys), pkg/util/nodelock/nodelock.go (lock).
"""

from __future__ import annotations

import datetime
import enum
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import jsonfields
from .errors import ProtocolError
from .jsonfields import Record, is_text, read_json, read_number, read_records
from .model import Allocation, Device, Share
from .registered import read_comma_records, read_json_records

POD_NODE = "hami.io/vgpu-node"  # annotation and label
POD_TIME = "hami.io/vgpu-time"
BIND_PHASE = "hami.io/bind-phase"
BIND_TIME = "hami.io/bind-time"
NODE_LOCK = "hami.io/mutex.lock"
DEVICE_CORDON = "hami.io/device-cordon"
NODE_POLICY = "hami.io/node-scheduler-policy"
CARD_POLICY = "hami.io/gpu-scheduler-policy"
WEBHOOK_LABEL = "hami.io/webhook"

#: In the JSON form of a card: what it can be cut into (HAMi v2.10.0 pkg/device/nvidia).
MIG_PROFILES = "migProfiles"

OWN_PREFIX = "hami-operator.io/"
OWN_LOCK = "hami-operator.io/{}.lock"
OWN_ALLOCATION = "hami-operator.io/allocation"
EPOCH = "hami-operator.io/epoch"
RETRY = "hami-operator.io/retry"

#: Keys that only the scheduler may write, beside each family's own (``Profile.written_keys``).
COMMON_WRITTEN_KEYS = frozenset({POD_NODE, POD_TIME, BIND_PHASE, BIND_TIME, OWN_ALLOCATION, EPOCH})

#: The largest number HAMi's programs read (Go int32).
INT32_MAX = jsonfields.INT32_MAX


class Phase(enum.StrEnum):
    """Values of ``hami.io/bind-phase``: written at bind, then changed by the device plugin."""

    ALLOCATING = "allocating"
    SUCCESS = "success"
    FAILED = "failed"


#: By what stands in the annotation.
PHASES = {phase.value: phase for phase in Phase}

#: What plugins write, under a key of their own, to a pod that has all its cards.
SERVED = "true"


# -- cards of a node ---------------------------------------------------------------------------------------------

_COMMA_FIELDS = (7, 9)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_RESERVED = frozenset(",:;")
#: The colons of a PCI address, which Kunlunxin's cards have for an id: they are told from those between records.
_PCI_COLONS = re.compile(r"\b([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):(?=[0-9a-fA-F]{2}\.[0-7](?:,|$))")
_PCI_MARK = "\0"
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse_bool(text: str) -> bool | None:
    """Go's ParseBool: 1 t T TRUE true True / 0 f F FALSE false False; anything else is None."""
    return True if text in _TRUE else False if text in _FALSE else None


def decode_devices(key: str, text: str) -> tuple[Device, ...]:
    """Read a register annotation: JSON when it begins with ``[``, else comma records. Sorted by (index, uuid).

    An empty text or list means no card. The order of records carries no meaning (plugins register in random order).

    Raises:
        ProtocolError: the list is malformed, a number does not parse, or a uuid is listed twice. The whole list is
            then to be rejected and the last good one kept.
    """
    stripped = text.strip()
    if stripped.startswith("["):
        content = read_json(key, text)
        found = read_json_records(text, content)
        return checked_devices(key, text, _json_devices(key, content)) if found is None else found
    found = read_comma_records(text)
    return checked_devices(key, text, _decode_comma(key, text) if stripped else []) if found is None else found


def checked_devices(key: str, text: str, devices: Iterable[Device]) -> tuple[Device, ...]:
    """Cards read from a text, sorted by (index, uuid). Raises ProtocolError: an id is reserved, or listed twice."""
    devices = list(devices)
    seen: set[str] = set()
    for device in devices:
        if not _RESERVED.isdisjoint(_PCI_COLONS.sub("", device.uuid)):
            raise ProtocolError(key, max(text.find(device.uuid), 0), f"card id {device.uuid!r} holds one of , : ;")
        if device.uuid in seen:
            raise ProtocolError(key, max(text.find(device.uuid), 0), f"card {device.uuid!r} is listed twice")
        seen.add(device.uuid)
    return tuple(sorted(devices, key=lambda d: (d.index, d.uuid)))


def _decode_comma(key: str, text: str) -> list[Device]:
    if ":" not in text:
        raise ProtocolError(key, 0, "no record ends with ':'")
    devices, offset = [], 0
    for piece in text.split(":"):
        if "," in piece:
            devices.append(_comma_record(key, offset, piece))
        elif piece.strip():
            raise ProtocolError(key, offset, f"{piece!r} is no record of 7 or 9 fields")
        offset += len(piece) + 1
    return devices


def _comma_record(key: str, offset: int, piece: str) -> Device:
    fields = piece.split(",")
    if len(fields) not in _COMMA_FIELDS:
        raise ProtocolError(key, offset, f"a record has {len(fields)} fields, allowed are 7 or 9")
    if not fields[0]:
        raise ProtocolError(key, offset, "a record has no card id")

    def number(position: int, name: str) -> int:
        return read_number(key, offset, name, fields[position])

    healthy = parse_bool(fields[6])
    if healthy is None:
        raise ProtocolError(key, offset, f"health {fields[6]!r} is neither true nor false")
    return Device(
        uuid=fields[0],
        slots=number(1, "count"),
        memory_mib=number(2, "devmem"),
        cores=number(3, "devcore"),
        type=fields[4],
        numa=number(5, "numa"),
        healthy=healthy,
        index=number(7, "index") if len(fields) == 9 else 0,
        mode=fields[8] if len(fields) == 9 else "hami-core",
    )


def _json_devices(key: str, content: object) -> list[Device]:
    return [_json_device(record) for record in read_records(key, content)]


def _json_device(record: Record) -> Device:
    """One card; absent keys are zero values, so a card without ``health`` is unhealthy (HAMi v2.8 omits zeros)."""
    custom = record.fields.get("custominfo") or {}
    if not isinstance(custom, dict):
        raise ProtocolError(record.key, 0, f"{record.place}: custominfo is no JSON object")
    if record.fields.get(MIG_PROFILES):
        custom = {**custom, MIG_PROFILES: record.fields[MIG_PROFILES]}
    if not record.text("id"):
        raise ProtocolError(record.key, 0, f"{record.place} has no id")
    return Device(
        uuid=record.text("id"),
        index=record.number("index"),
        slots=record.number("count"),
        memory_mib=record.number("devmem"),
        cores=record.number("devcore"),
        type=record.text("type"),
        numa=record.number("numa"),
        healthy=record.flag("health"),
        mode=record.text("mode"),
        custom=custom,
    )


def encode_devices_text(devices: Iterable[Device]) -> str:
    """The comma form of HAMi 2.7: nine fields a card, each record closed by ``:``."""
    return "".join(
        f"{d.uuid},{d.slots},{d.memory_mib},{d.cores},{d.type},{d.numa},{str(d.healthy).lower()},{d.index},{d.mode}:"
        for d in devices
    )


def encode_devices_json(devices: Iterable[Device], family: str) -> str:
    """The JSON form of HAMi 2.8 and later: keys with zero values are left out."""
    records = []
    for d in devices:
        record = {
            "id": d.uuid,
            "index": d.index,
            "count": d.slots,
            "devmem": d.memory_mib,
            "devcore": d.cores,
            "type": d.type,
            "numa": d.numa,
            "mode": d.mode,
            "health": d.healthy,
            "devicevendor": family,
            MIG_PROFILES: d.custom.get(MIG_PROFILES),
            "custominfo": {name: value for name, value in d.custom.items() if name != MIG_PROFILES},
        }
        records.append({name: value for name, value in record.items() if value})
    return json.dumps(records, separators=(",", ":"))


_RESERVED_TO_DASH = str.maketrans(dict.fromkeys(",:;", "-"))


def record_word(text: str) -> str:
    """A free text (a card's model) as it may stand in a record: dashes where the record's own marks were."""
    return text.translate(_RESERVED_TO_DASH)


# -- shares of a pod ---------------------------------------------------------------------------------------------


def encode_shares(positions: Iterable[Sequence[Share]]) -> str:
    """One segment per container position, closed by ``;``; a card is ``uuid,type,memory,cores`` closed by ``:``."""
    return "".join(
        "".join(f"{s.uuid},{s.kind},{s.memory_mib},{s.cores}:" for s in shares) + ";" for shares in positions
    )


def decode_shares(key: str, text: str) -> tuple[tuple[Share, ...], ...]:
    """Read a device list of a pod; positions are kept, the empty text behind the last ``;`` is dropped.

    An entry with an empty uuid (filler of HAMi up to 2.5) is no card; fields behind the fourth are ignored.

    Raises:
        ProtocolError: an entry has fewer than four fields, or a number that does not parse.
    """
    segments = text.split(";")
    if segments and not segments[-1].strip():
        segments.pop()
    positions, offset = [], 0
    for segment in segments:
        positions.append(_decode_segment(key, offset, segment))
        offset += len(segment) + 1
    return tuple(positions)


def _decode_segment(key: str, offset: int, segment: str) -> tuple[Share, ...]:
    shares = []
    for piece in _PCI_COLONS.sub(rf"\1{_PCI_MARK}\2{_PCI_MARK}", segment).split(":"):
        if "," in piece:
            fields = piece.split(",")
            if len(fields) < 4:
                raise ProtocolError(key, offset, f"entry {piece!r} has {len(fields)} fields, at least 4 are needed")
            if fields[0]:
                memory, cores = (
                    read_number(key, offset, n, f) for n, f in zip(("memory", "cores"), fields[2:4], strict=True)
                )
                share = Share(fields[0].replace(_PCI_MARK, ":"), fields[1], memory, cores)
                split_place(key, offset, share)
                shares.append(share)
        elif piece.strip():
            raise ProtocolError(key, offset, f"entry {piece!r} has no fields")
        offset += len(piece) + 1
    return tuple(shares)


def split_place(key: str, offset: int, share: Share) -> tuple[str, int] | None:
    """The place of a share of a card that is cut, ``GPU-x[1-3]`` -> ("1", 3); None for a share of a card as it is.

    HAMi v2.7.0 pkg/device/devices.go ExtractMigTemplatesFromUUID; Volcano's plans are names, such as ``group2``.

    Raises:
        ProtocolError: there are brackets without a plan and a position between them at the end.
    """
    if "[" not in share.uuid:
        return None
    match = _PLACE.fullmatch(share.place)
    if match is None or not share.uuid.endswith("]"):
        raise ProtocolError(key, offset, f"{share.uuid!r} is not a card followed by [plan-position]")
    return match[1], int(match[2])


_PLACE = re.compile(r"([^\[\]-]+)-(\d{1,9})")


def encode_allocation(allocation: Allocation) -> str:
    """Our own record: compact JSON, family -> positions -> ``[uuid, type, memory MiB, cores]``."""
    record = {
        family: [[[s.uuid, s.kind, s.memory_mib, s.cores] for s in shares] for shares in positions]
        for family, positions in allocation.families.items()
    }
    return json.dumps(record, separators=(",", ":"))


def decode_allocation(text: str) -> Allocation:
    """Read our own record. Raises ProtocolError when it is not what ``encode_allocation`` writes."""
    try:
        record = json.loads(text)
        families = {
            family: tuple(tuple(_own_share(entry) for entry in shares) for shares in positions)
            for family, positions in record.items()
        }
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(OWN_ALLOCATION, getattr(error, "pos", 0), f"the record is malformed: {error}") from None
    return Allocation(families)


def _own_share(entry: object) -> Share:
    if not isinstance(entry, list) or len(entry) != 4:
        raise ValueError(f"{entry!r} is not [uuid, type, memory, cores]")
    uuid, kind, memory, cores = entry
    if not (is_text(uuid) and is_text(kind)):
        raise ValueError(f"{entry!r} is not [uuid, type, memory, cores]")
    if not all(type(n) is int and 0 <= n <= INT32_MAX for n in (memory, cores)):
        raise ValueError(f"{entry!r}: memory and cores are integers from 0 to {INT32_MAX}")
    share = Share(uuid, kind, memory, cores)
    split_place(OWN_ALLOCATION, 0, share)
    return share


# -- the node lock -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lock:
    """A node lock: when it was taken (unix seconds) and by which pod; the old form names no holder."""

    taken: float
    namespace: str = ""
    name: str = ""

    def held_by(self, namespace: str, name: str) -> bool:
        """Whether exactly this pod holds it (HAMi v2.7.0 tests for a substring, so ``rain`` freed ``train``)."""
        return bool(self.name) and (self.namespace, self.name) == (namespace, name)


def format_lock(now: float, namespace: str, name: str) -> str:
    """``2025-10-01T08:00:00Z,default,train-0``: RFC 3339 in UTC with seconds, namespace, pod name."""
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ},{namespace},{name}"


def parse_lock(text: str) -> Lock:
    """Read a lock of either form. Raises ProtocolError when time or form are wrong (to be treated as expired)."""
    time_text, *holder = text.split(",")
    try:
        moment = datetime.datetime.fromisoformat(time_text.strip())
    except ValueError:
        raise ProtocolError(NODE_LOCK, 0, f"{time_text!r} is no RFC 3339 time") from None
    if len(holder) not in (0, 2):
        raise ProtocolError(NODE_LOCK, len(time_text), f"{text!r} is not time,namespace,name")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return Lock(moment.timestamp(), *holder)


# -- list texts that users write ---------------------------------------------------------------------------------


def split_list(text: str) -> tuple[str, ...]:
    """Items of a comma list, trimmed, empty ones dropped; an empty text is no constraint."""
    return tuple(item.strip() for item in text.split(",") if item.strip()) if text else ()
