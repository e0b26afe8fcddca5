"""Huawei Ascend NPUs, one family per chip: template slices (hard mode) or memory and cores (soft mode).

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/ascend/device.go; Project-HAMi/ascend-device-plugin. A slice always costs
its whole template, asked for through the webhook or not; a pod and a node in different modes don't meet.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hami_operator.allocators.modules import modules
from hami_operator.allocators.zones import Spill, grouped, togetherness
from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, Device
from hami_operator.core.reasons import Reason
from hami_operator.core.request import amount, read_request, registered_devices
from hami_operator.core.templates import Template, Templates
from hami_operator.core.vendor import (
    Admission,
    CardState,
    Charge,
    Chooser,
    FitContext,
    Grant,
    Hooks,
    Outlook,
    Profile,
    SelectionKeys,
    SharedNames,
    annotate_lists,
    charge_as_asked,
    greedy,
    no_score,
)

SECTION = "vnpus"

MODE_KEY = "huawei.com/vnpu-mode"
SOFT = "hami-core"
NODE_SOFT_KEY = "hami-vnpu-core"
TIME_KEY = "predicate-time"

#: Chips whose cards know their network group, and what groups weigh against the load of a node.
NETWORKED = "Ascend910"
NETWORK_WEIGHT = 10.0
#: Two dies make a module of this one.
MODULE_WORD, MODULE_DIES = "Ascend910C", 2
#: HAMi's documentation selects cards of all chips that begin so under this one name, which its code never reads.
ALIAS_WORD = "Ascend910B"


@dataclass(frozen=True, slots=True)
class Chip(SharedNames):
    """One chip of the configuration; ``templates`` have the fields of ``Template``."""

    word: str
    allocatable_mib: int
    capacity_mib: int
    memory_factor: int
    super_pod: bool
    runtime_class: str
    overwrite_env: bool
    templates: Sequence[Mapping[str, Any]]

    def cuts(self) -> Templates:
        """What the chip can be cut into."""
        slices = sorted((Template(**item) for item in self.templates), key=lambda item: item.memory_mib)
        return Templates(tuple(slices), self.allocatable_mib, self.capacity_mib, self.memory_factor)


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``vnpus`` section: ``soft`` is the mode of nodes that don't tell theirs, ``dialect`` is 2.7 or 2.10."""

    soft: bool
    dialect: str
    chips: Sequence[Mapping[str, Any]]


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """One profile per chip."""
    chips = tuple(Chip(**content) for content in settings.chips)
    counts = frozenset(chip.count_name for chip in chips)
    return tuple(_profile(chip, settings, counts) for chip in chips)


def _profile(chip: Chip, settings: Settings, counts: Collection[str]) -> Profile:
    word = chip.word
    also = word.startswith(ALIAS_WORD)
    return Profile(
        key=word,
        names=chip.names(),
        register_key=f"hami.io/node-register-{word}",
        handshake_key=f"hami.io/node-handshake-{word}",
        to_allocate_key=f"hami.io/{word}-devices-to-allocate",
        allocated_key=f"hami.io/{word}-devices-allocated",
        lock_key=protocol.NODE_LOCK,
        request_of=read_request,
        inventory_of=registered_devices,
        selection=SelectionKeys(
            use_uuid=f"hami.io/use-{word}-uuid",
            nouse_uuid=f"hami.io/no-use-{word}-uuid",
            also_use_uuid=(f"hami.io/use-{ALIAS_WORD}-uuid",) if also else (),
            also_nouse_uuid=(f"hami.io/no-use-{ALIAS_WORD}-uuid",) if also else (),
        ),
        extra_keys=(f"huawei.com/{word}", TIME_KEY),
        memory_unit_mib=chip.memory_factor,
        pod_keys=(MODE_KEY,),
        node_keys=(NODE_SOFT_KEY,),
        hooks=_hooks(chip, settings, counts),
    )


def _hooks(chip: Chip, settings: Settings, counts: Collection[str]) -> Hooks:
    cuts = chip.cuts()

    def admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
        if not amount(container, chip.count_name, 0, protocol.INT32_MAX):
            elsewhere = any(name in container.limits or name in container.requests for name in counts)
            hidden = chip.overwrite_env and not elsewhere
            return Admission(env=(("ASCEND_VISIBLE_DEVICES", ""),) if hidden else ())
        return _admit(chip, cuts, container, annotations)

    networked = chip.word.startswith(NETWORKED)
    return Hooks(
        admit=admit,
        node_gate=partial(_node_gate, settings),
        charge=partial(_charge, cuts),
        predicate=_same_slice,
        chooser=_by_module if chip.super_pod or chip.word == MODULE_WORD else _by_network if networked else greedy,
        node_score=_network_score if networked else no_score,
        annotate=partial(_annotate, cuts, settings),
    )


def _soft(annotations: Mapping[str, str]) -> bool:
    return annotations.get(MODE_KEY) == SOFT


# -- admission ---------------------------------------------------------------------------------------------------


def _admit(chip: Chip, cuts: Templates, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Count and memory as they are meant, shown back to the user; HAMi v2.10.0 MutateAdmission."""
    where, soft = f"container {container.name!r}", _soft(annotations)
    if not soft and annotations.get(MODE_KEY):
        mode = annotations[MODE_KEY]
        raise InvalidRequest(f"{where}: annotation {MODE_KEY} is {mode!r}, allowed is {SOFT}, or none for templates")
    cores = amount(container, chip.core_name, 0, 100)
    if cores and not soft:
        raise InvalidRequest(
            f"{where}: {chip.core_name} is {cores}, allowed is none without the annotation {MODE_KEY}: {SOFT}, "
            "since a template has its own cores"
        )
    count = amount(container, chip.count_name, 1, protocol.INT32_MAX) or 1
    if chip.super_pod and count > 1 and count % MODULE_DIES:
        raise InvalidRequest(f"{where}: {chip.count_name} is {count}, allowed is 1, which means 2, or an even number")
    count = MODULE_DIES if chip.super_pod and count == 1 else count
    if soft:
        whole = cuts.units(cuts.whole)
        memory = amount(container, chip.memory_name, 0, whole) or whole
    else:
        memory = _template_memory(chip, cuts, container, count)
    return Admission(True, {chip.count_name: count, chip.memory_name: memory}, runtime_class=chip.runtime_class)


def _template_memory(chip: Chip, cuts: Templates, container: Container, count: int) -> int:
    """Memory of the template that holds what is asked, as an amount of the resource.

    HAMi: v2.10.0 compares the count before it makes two dies of one, so that a slice of each slips through.
    """
    name = chip.memory_name
    asked = amount(container, name, 0, cuts.capacity_mib // cuts.unit_mib)
    found = cuts.whole if asked is None else cuts.holding(asked * cuts.unit_mib) or cuts.whole
    if count > 1 and found.name:
        largest = cuts.slices[-1].memory_mib // cuts.unit_mib
        raise InvalidRequest(
            f"container {container.name!r}: {name} is {asked} with {chip.count_name} {count}, allowed is none or more "
            f"than {largest}: a slice comes from one card alone"
        )
    return cuts.units(found)


# -- placement ---------------------------------------------------------------------------------------------------


def _node_gate(settings: Settings, context: FitContext) -> Reason | None:
    told = protocol.parse_bool(context.node.annotations.get(NODE_SOFT_KEY, ""))
    soft = settings.soft if told is None else told
    return None if soft == _soft(context.pod.annotations) else Reason.MODE_NOT_FIT


def _charge(cuts: Templates, context: FitContext, device: Device) -> Charge:
    """Soft: as asked, of 100 cores. Hard: the whole template or card; more than any card has is left to be refused."""
    asked = charge_as_asked(context, device)
    if _soft(context.pod.annotations):
        return Charge(asked.memory_mib, asked.cores, 100)
    whole = context.request.memory_mib is None
    found = cuts.whole if whole else cuts.holding(asked.memory_mib)
    if found is None:
        return asked
    return Charge(found.memory_mib if found.name else device.memory_mib, 0, device.cores)


def _same_slice(context: FitContext, state: CardState) -> Reason | None:
    """The plugin looks a pod's slices up by card: two of one card must be equal."""
    held, charge = state.own_charge, context.profile.hooks.charge(context, state.device)
    same = (held.memory_mib, held.cores) == (held.slots * charge.memory_mib, held.slots * charge.cores)
    return None if same else Reason.CUSTOM_FILTER_RULE


def _network_of(device: Device) -> int | None:
    value = device.custom.get("NetworkID")
    return int(value) if isinstance(value, int | float) else None


def _by_module(context: FitContext) -> Chooser | None:
    return modules(MODULE_DIES)


def _by_network(context: FitContext) -> Chooser | None:
    """Where every card of the node tells its group."""
    known = all(_network_of(state.device) is not None for state in context.cards)
    return grouped(_network_of, Spill.LARGEST_FIRST, context.cards) if known else None


def _network_score(outlook: Outlook) -> float:
    return NETWORK_WEIGHT * togetherness(outlook, _network_of)


# -- what the plugin reads ---------------------------------------------------------------------------------------


def _annotate(cuts: Templates, settings: Settings, grant: Grant) -> dict[str, str]:
    """The lists, and per share card, template, memory and cores, without what is 0; v2.7 tells templates alone."""
    soft = _soft(grant.pod.annotations)
    entries = []
    for share in (share for shares in grant.given for share in shares):
        found = None if soft else cuts.holding(share.memory_mib)
        amounts = {"memory": share.memory_mib, "core": share.cores} if soft or settings.dialect != "2.7" else {}
        entry = {"UUID": share.uuid, "temp": found.name if found else "", **amounts}
        entries.append({name: value for name, value in entry.items() if value})
    text = json.dumps(entries, separators=(",", ":"))
    return annotate_lists(grant) | {f"huawei.com/{grant.profile.key}": text, TIME_KEY: str(int(grant.now))}
