"""MIG instances by the ids of the runtime: what device plugins of HAMi v2.10 write into a pod's annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hami_operator.allocators.mig import ALLOCATIONS
from hami_operator.core.errors import ProtocolError
from hami_operator.core.jsonfields import Record, read_json, read_records

#: (card, place on it), as ``PartRow`` names the place.
Part = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as the runtime knows it; texts are empty where the plugin has not written them."""

    uuid: str = ""
    gpu_instance: str = ""
    compute_instance: str = ""


def read_instances(annotations: Mapping[str, str]) -> dict[Part, Instance]:
    """The instances of a pod that its plugin has made; none where the annotation can't be read."""
    text = annotations.get(ALLOCATIONS)
    try:
        return dict(_instances(text)) if text else {}
    except ProtocolError:  # the ledger tells of it
        return {}


def _instances(text: str) -> Iterator[tuple[Part, Instance]]:
    for record in read_records(ALLOCATIONS, read_json(ALLOCATIONS, text)):
        place, uuid = record.fields.get("placement"), record.text("migUUID")
        if uuid and isinstance(place, dict):
            start = Record(ALLOCATIONS, record.place, place).number("start")
            ids = (str(record.number(name)) for name in ("gpuInstanceID", "computeInstanceID"))
            yield (record.text("gpuUUID"), f"{record.text('profile')}-{start}"), Instance(uuid, *ids)
