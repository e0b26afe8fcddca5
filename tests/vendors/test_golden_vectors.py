"""The golden vectors: a container's limits through admission, request and placement, as the reference answered them.

``ref`` is the version of HAMi that gave ``want``; ``ours`` stands where we mean to differ, ``because`` tells why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonpatch
import pytest

from hami_operator.core.allocate import Offer, allocate, read_demand
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Allocation, Container, Device
from hami_operator.core.objects import read_pod
from hami_operator.core.vendor import Amounts, Profile
from tests import golden
from tests.builders import node
from tests.vendors.replay import family
from tests.webhook.pods import SETTINGS
from webhook.catalogue import Catalogue
from webhook.mutate import Patch, Refusal, mutate_pod

ROWS = [json.loads(line) for line in (golden.HERE / "vendors.jsonl").read_text().splitlines()]

#: Slots, MiB and cores of each family's card, and its model where that is not the family.
CARDS: Mapping[str, tuple[int, int, int]] = {
    "Ascend310P": (7, 21527, 8),
    "Ascend910B3": (4, 65536, 20),
    "Ascend910C": (1, 65536, 20),
    "MLU": (100, 23296, 100),
    "DCU": (4, 65520, 100),
    "Iluvatar": (100, 32768, 100),
    "MR-V100": (100, 32768, 100),
    "Mthreads": (100, 49152, 16),
    "AMD": (10, 196288, 304),
    "Biren": (1, 65024, 100),
    "Vastai": (1, 0, 100),
}
MODELS = {"DCU": "DCU-K100_AI", "AMD": "AMD Instinct MI300X VF"}

#: What a refusal says, by the vectors' codes.
REJECTED = {
    "memory_above_capacity": "huawei.com/Ascend310P-memory is 24577, allowed is an integer from 0 to 24576",
    "slice_on_many_cards": "allowed is none or more than 12288: a slice comes from one card alone",
    "illegal_memory_slice": "mthreads.com/sgpu-memory is 3, allowed are 2, 4, 8, 16, 32, 64, 96 (units of 512 MiB)",
    "core_needs_soft_mode": "allowed is none without the annotation huawei.com/vnpu-mode: hami-core",
    "odd_910c_count": "huawei.com/Ascend910C is 3, allowed is 1, which means 2, or an even number",
    "core_percent_range": "amd.com/gpucores is 0, allowed is an integer from 1 to 100",
    "memory_missing": "cambricon.com/vmlu without cambricon.com/mlu.smlu.vmemory never reaches the vendor's plugin",
}


def cards(row: Mapping[str, Any]) -> tuple[tuple[Device, ...], dict[str, Amounts]]:
    """The cards of a vector and what is used of them. What the pod's own first container holds is left out.

    That one's card comes last in the list, where it is the first to be taken.
    """
    slots, memory, cores = CARDS[row["vendor"]]
    own = {entry["uuid"] for containers in row.get("allocated", {}).values() for c in containers for entry in c}
    devices, used = [], {}
    for index, fields in enumerate(row["devices"]):
        uuid = f"d{index}"
        devices.append(
            Device(
                uuid=uuid,
                index=index + 100 if uuid in own else index,
                slots=fields.get("count", slots),
                memory_mib=fields.get("totalmem", memory),
                cores=fields.get("totalcore", cores),
                type=fields.get("type", MODELS.get(row["vendor"], row["vendor"])),
                healthy=fields.get("health", True),
                custom=fields.get("custom", {}),
            )
        )
        if fields.get("used") and uuid not in own:
            used[uuid] = Amounts(fields["used"], fields.get("usedmem", 0), fields.get("usedcores", 0))
    return tuple(devices), used


def pod_object(row: Mapping[str, Any]) -> dict[str, Any]:
    limits = {name: str(value) for name, value in row["limits"].items()}
    container = {"name": "main", "resources": {"limits": limits, "requests": dict(limits)}}
    first = [{**container, "name": "first"}] if "allocated" in row else []
    return {
        "metadata": {"name": "p", "namespace": "default", "annotations": row.get("annos", {})},
        "spec": {"containers": [*first, container]},
    }


def request(profile: Profile, container: Container) -> list[int]:
    """Count, MiB, percentage (where the MiB are open) and cores, nothing being 0."""
    found = profile.request(container)
    if found is None:
        return [0, 0, 0, 0]
    memory, percent = found.memory_mib or 0, 100 if found.memory_percent is None else found.memory_percent
    return [found.count, memory, 0 if memory else percent, found.cores or 0]


def answer(profile: Profile, row: Mapping[str, Any], obj: Mapping[str, Any]) -> dict[str, Any]:
    """What a node with the vector's cards says to the pod."""
    devices, used = cards(row)
    on = node("n1", metadata={"annotations": row.get("nodeannos", {})})
    entry = NodeDevices(on, {profile.key: devices}, frozenset({profile.key}))
    pod = read_pod(obj)
    demand = read_demand(pod, [profile], card_policy="spread", node_policy="binpack")
    got = allocate(pod, demand, Offer(entry, {profile.key: used}), {})
    if isinstance(got, Allocation):
        return {"take": [[s.uuid, s.memory_mib, s.cores] for s in got.families[profile.key][-1]]}
    return {"reason": [str(refusal) for refusal in got]}


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row['vendor']}-{row['ref']}-{row['why']}".replace(" ", "-")) for row in ROWS]
)
def test_a_golden_vector(row: Mapping[str, Any]) -> None:
    want = row.get("ours", row["want"])
    profile = family(row["vendor"], vnpus={}, iluvatars={})
    before = pod_object(row)
    verdict = mutate_pod(before, Catalogue([profile]), SETTINGS)
    if "reject" in want:
        assert isinstance(verdict, Refusal), verdict
        assert REJECTED[want["reject"]] in verdict.message
        return
    assert isinstance(verdict, Patch), verdict
    after = jsonpatch.apply_patch(before, [dict(op) for op in verdict.operations])
    main = read_pod(after).containers[-1]
    asked = {name: str(value) for name, value in row["limits"].items()}
    written = {name: str(value) for name, value in want.get("limits_set", {}).items()}
    assert main.limits == main.requests == {**asked, **written}
    wanted = want["req"]
    got = request(profile, main)
    assert got == ([*wanted[:2], 100, wanted[3]] if wanted[0] and not wanted[1] else wanted)
    if "take" in want or "reason" in want:
        expected = {name: want[name] for name in ("take", "reason") if name in want}
        assert answer(profile, row, after) == expected


def test_bypassing_the_webhook_costs_no_less() -> None:
    """A vector that is refused at admission, and a pod that came around it."""
    row = next(row for row in ROWS if row.get("ours", {}).get("reject") == "memory_missing")
    profile = family(row["vendor"])
    assert request(profile, read_pod(pod_object(row)).containers[0]) == row["want"]["req"]
    assert answer(profile, row, pod_object(row)) == {"take": row["want"]["take"]}


def test_every_family_and_every_difference_is_there() -> None:
    assert {row["vendor"] for row in ROWS} == CARDS.keys()
    assert all(bool(row.get("ours")) == bool(row.get("because")) for row in ROWS)
    assert all(row["ours"] != row["want"] for row in ROWS if "ours" in row)
