"""Replays worked examples of a family that are kept as data: amounts to a request, cards to a choice or its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.allocate import Offer, allocate, read_demand
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.inventory import NodeDevices
from hami_operator.core.model import Allocation, Container, Device, DeviceRequest, Node, Pod, Share
from hami_operator.core.reasons import Refusal, refusals_text
from hami_operator.core.vendor import Admission, Amounts, Outlook, Profile, Tenant
from tests.builders import node, pod


def family(key: str, **sections: Mapping[str, Any]) -> Profile:
    """The profile of this key, with some sections of the device configuration changed."""
    devices = DevicesSection.model_validate(sections)
    return next(profile for profile in devices.profiles() if profile.key == key)


def container(limits: Mapping[str, Any]) -> Container:
    return Container("main", limits={name: str(value) for name, value in limits.items()})


def admit(profile: Profile, limits: Mapping[str, Any], annotations: Mapping[str, str]) -> Admission:
    return profile.hooks.admit(profile, container(limits), annotations)


def check_request(profile: Profile, row: Mapping[str, Any]) -> None:
    """``limits`` -> ``written`` at admission and ``request`` (count, memory, percent, cores, slices), or ``denied``."""
    limits, annotations = row["limits"], row.get("annotations", {})
    if "denied" in row:
        with pytest.raises(InvalidRequest) as caught:
            admit(profile, limits, annotations)
        assert row["denied"] in str(caught.value)
        assert "container 'main'" in str(caught.value)
        return
    admission = admit(profile, limits, annotations)
    assert dict(admission.resources) == row.get("written", {})
    assert dict(admission.annotations) == row.get("annotated", {})
    request = profile.request(container({**limits, **admission.resources}))
    assert request == (DeviceRequest(*row["request"]) if row["request"] else None)
    assert admission.claimed == (request is not None)


def check_fit(profile: Profile, base: Device, row: Mapping[str, Any]) -> None:
    """``cards`` (or a number, of which ``busy`` are ``held``), ``limits`` -> ``taken``, ``shares``, or ``reasons``."""
    got = answer(profile, base, row)
    if "reasons" in row:
        assert isinstance(got, tuple), got
        assert refusals_text(got) == row["reasons"]
        return
    assert isinstance(got, Allocation), got
    shares = [share for _, _, share in got.shares()]
    assert [share.uuid.rpartition("-")[2] for share in shares] == [str(index) for index in row["taken"]]
    if "shares" in row:
        assert [[share.memory_mib, share.cores] for share in shares] == row["shares"]


def answer(profile: Profile, base: Device, row: Mapping[str, Any]) -> Allocation | tuple[Refusal, ...]:
    """What the node of the example answers to its pod, which has passed admission unless ``admitted`` is false."""
    limits, annotations = dict(row["limits"]), dict(row.get("annotations", {}))
    if row.get("admitted", True):
        admission = admit(profile, limits, annotations)
        limits |= admission.resources
        annotations = {**admission.annotations, **annotations}
    texts = {name: str(value) for name, value in limits.items()}
    one = pod("p", {"name": "main", "resources": {"limits": texts}}, annotations=annotations)
    demand = read_demand(one, [profile], card_policy=row.get("policy", "spread"), node_policy="binpack")
    return allocate(one, demand, offer(profile, base, row), {})


def offer(profile: Profile, base: Device, row: Mapping[str, Any]) -> Offer:
    """The node of an example: cards ``d-0``, ``d-1``, ... like ``base``."""
    cards = row["cards"] if isinstance(row["cards"], list) else [{} for _ in range(row["cards"])]
    cards = [{**card, **(row["held"] if index in row.get("busy", ()) else {})} for index, card in enumerate(cards)]
    devices, used, tenants = [], {}, {}
    for index, fields in enumerate(cards):
        device = replace(base, uuid=f"d-{index}", index=index)
        facts = {name: value for name, value in fields.items() if name not in ("used", "tenants")}
        facts["custom"] = {**base.custom, **facts.get("custom", {})}
        devices.append(replace(device, **facts))
        there = [Tenant(Share(device.uuid, profile.key, *t[:2]), tuple(t[2:])) for t in fields.get("tenants", ())]
        if there:
            tenants[device.uuid] = {"other": tuple(there)}
            sums = [len(there), sum(t.share.memory_mib for t in there), sum(bits(profile, t.share) for t in there)]
            used[device.uuid] = Amounts(*sums)
        if "used" in fields:
            used[device.uuid] = Amounts(*fields["used"])
    entry = NodeDevices(
        node("n1", metadata={"labels": row.get("labels", {}), "annotations": row.get("node", {})}),
        {profile.key: tuple(devices)},
        frozenset({profile.key}),
    )
    return Offer(entry, {profile.key: used}, {}, {profile.key: tenants})


def bits(profile: Profile, share: Share) -> int:
    return share.cores.bit_count() if profile.core_masks else share.cores


def score(
    profile: Profile,
    cards: Sequence[Device],
    shares: Sequence[Share],
    *,
    policy: str = "binpack",
    used: Sequence[str] = (),
    tenants: Mapping[str, tuple[Tenant, ...]] | None = None,
    one: Pod | None = None,
    on: Node | None = None,
) -> float:
    """A family's own term for a placement of these shares."""
    return profile.hooks.node_score(
        Outlook(
            pod=one or pod(),
            node=on or node(),
            node_policy=policy,
            devices={card.uuid: card for card in cards},
            used={uuid: Amounts(1, 0, 0) for uuid in used},
            given=[shares],
            tenants={card: {"other": there} for card, there in (tenants or {}).items()},
        )
    )
