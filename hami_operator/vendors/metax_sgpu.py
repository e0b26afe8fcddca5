"""MetaX sGPUs: shares of a card, of one quality of service per card; whole cards are chosen by their links.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/metax/{sdevice,qos,score}.go. Who is on a card is known from the pods on it,
not from a cache that a restart empties; the node's report serves for usage that nobody of ours explains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from hami_operator.allocators.company import company, company_score, least_company
from hami_operator.allocators.zones import LINK_WEIGHT, Spill, grouped, link_term, link_zone
from hami_operator.core import protocol
from hami_operator.core.errors import InvalidRequest, ProtocolError
from hami_operator.core.jsonfields import Record, read_json, read_records
from hami_operator.core.model import Container, Device, DeviceRequest, Node
from hami_operator.core.quantity import BINARY_SUFFIXES
from hami_operator.core.reasons import Reason
from hami_operator.core.request import amount, memory_amount, unknown_word
from hami_operator.core.vendor import (
    GENERIC_CHECKS,
    Admission,
    CardState,
    Charge,
    Check,
    Chooser,
    FitContext,
    Grant,
    Hooks,
    Outlook,
    Profile,
    SelectionKeys,
    SharedNames,
    Tenant,
    annotate_lists,
    charge_as_asked,
)

SECTION = "metax"
KEY = "Metax-SGPU"

REGISTER = "metax-tech.com/node-gpu-devices"
ALLOCATED = "metax-tech.com/gpu-devices-allocated"
PREDICATE_TIME = "metax-tech.com/predicate-time"

QOS = "metax-tech.com/sgpu-qos-policy"
POLICIES = ("best-effort", "fixed-share", "burst-share")
APP_CLASS = "metax-tech.com/sgpu-app-class"
ONLINE, OFFLINE = CLASSES = ("online", "offline")
TOPOLOGY = "metax-tech.com/sgpu-topology-aware"

#: Compute of a whole card, in percent: who has it is alone on the card.
WHOLE = 100
GIB_MIB = 1024
#: Decimal suffixes that mean bytes here: 10^6 GiB is nobody's card. ``k`` is what 1000 GiB would come back as.
BYTE_SUFFIXES = frozenset("MGTPE")

#: The family's own rule comes first: it has a word of its own for cards that are broken.
CHECKS = (Check.PREDICATE, *(check for check in GENERIC_CHECKS if check is not Check.PREDICATE))


@dataclass(frozen=True, slots=True)
class Settings(SharedNames):
    """The ``metax`` section of the device configuration, as far as shares go.

    ``topology_aware``: nodes are scored by their links for pods that don't say. ``spread_penalty``: under the node
    policy spread good links count against a node, as the release note's words can be read; else they count for it.
    """

    topology_aware: bool
    spread_penalty: bool


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The family of shares."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            register_key=REGISTER,
            to_allocate_key="hami.io/metax-sgpu-devices-to-allocate",
            allocated_key="hami.io/metax-sgpu-devices-allocated",
            lock_key=protocol.NODE_LOCK,
            request_of=_request,
            inventory_of=_inventory,
            selection=SelectionKeys(use_uuid="metax-tech.com/use-gpuuuid", nouse_uuid="metax-tech.com/nouse-gpuuuid"),
            extra_keys=(ALLOCATED, PREDICATE_TIME),
            pod_keys=(QOS, APP_CLASS, TOPOLOGY),
            tenant_keys=(QOS, APP_CLASS),
            memory_unit_mib=GIB_MIB,
            byte_suffixes=BINARY_SUFFIXES | BYTE_SUFFIXES,
            core_default=WHOLE,
            checks=CHECKS,
            hooks=Hooks(
                admit=_admit,
                charge=_charge,
                predicate=_predicate,
                chooser=_chooser,
                node_score=partial(_score, settings),
                annotate=_annotate,
            ),
        ),
    )


# -- what is asked -----------------------------------------------------------------------------------------------


def _request(profile: Profile, container: Container) -> DeviceRequest | None:
    """Memory is in GiB, or in bytes with a suffix; none is all of the card. No compute given is all of it."""
    names = profile.names
    count = amount(container, names.count, 1, protocol.INT32_MAX)
    cores = amount(container, names.cores, 0, profile.core_max)
    memory = memory_amount(container, names.memory, GIB_MIB, BYTE_SUFFIXES)
    if count is None:
        return None
    return DeviceRequest(count, memory or None, None, profile.core_default if cores is None else cores)


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    """Application class and quality of service must be known words; a pod that names no quality gets the first."""
    request = profile.request(container)
    if request is None:
        return Admission()
    names, app_class, qos = profile.names, annotations.get(APP_CLASS), annotations.get(QOS)
    if app_class is not None and app_class not in CLASSES:
        raise unknown_word(container, names.count, APP_CLASS, annotations, CLASSES)
    if app_class is not None and request.count != 1:
        raise InvalidRequest(
            f"container {container.name!r}: {names.count} is {request.count}, allowed is 1: "
            f"app-class pod must request single device ({APP_CLASS} is {app_class!r})"
        )
    if app_class == ONLINE:
        return Admission(claimed=True)
    if qos is not None and qos not in POLICIES:
        raise unknown_word(container, names.count, QOS, annotations, POLICIES)
    return Admission(claimed=True, annotations={QOS: POLICIES[0]})


# -- the cards ---------------------------------------------------------------------------------------------------


def _inventory(profile: Profile, node: Node) -> tuple[Device, ...]:
    """MetaX's own list; cards in native mode are given whole (``metax_gpu``) and are none of this family."""
    text = node.annotations.get(REGISTER)
    if not text:
        return ()
    records = read_records(REGISTER, read_json(REGISTER, text))
    cards = (_card(index, record) for index, record in enumerate(records) if record.text("model") != "native")
    return protocol.checked_devices(REGISTER, text, cards)


def _card(index: int, record: Record) -> Device:
    uuid = record.text("uuid")
    if not uuid:
        raise ProtocolError(REGISTER, 0, f"{record.place} has no uuid")
    return Device(
        uuid=uuid,
        index=index,
        slots=record.number("totalDevCount"),
        memory_mib=record.number("totalVRam"),
        cores=record.number("totalCompute"),
        type=KEY,
        numa=record.number("numa"),
        healthy=record.flag("healthy"),
        custom={"zone": record.number("linkZone"), "qos": record.text("qosPolicy")},
    )


# -- who may join whom -------------------------------------------------------------------------------------------


def _charge(context: FitContext, device: Device) -> Charge:
    """As asked; an online pod has no part of the compute, and is not compared with what others have."""
    asked = charge_as_asked(context, device)
    online = context.pod.annotations.get(APP_CLASS) == ONLINE
    return Charge(asked.memory_mib, 0, protocol.INT32_MAX) if online else asked


def _predicate(context: FitContext, state: CardState) -> Reason | None:
    if not state.device.healthy:
        return Reason.CARD_UNHEALTHY
    if not state.used_slots:
        return None
    app_class = context.pod.annotations.get(APP_CLASS, "")
    found = company(state.tenants, _class_of)
    if any(found) != bool(app_class) or (app_class == OFFLINE and found.online):
        return Reason.CARD_APP_CLASS_MISMATCH
    if app_class == ONLINE or context.request.cores == WHOLE:
        return None
    wanted = context.pod.annotations.get(QOS, POLICIES[0])
    return None if _qualities(state) <= {wanted} else Reason.CARD_QOS_POLICY_MISMATCH


def _class_of(tenant: Tenant) -> str:
    return tenant.marks[1]


def _qualities(state: CardState) -> set[str]:
    """The qualities of service on a card; what no pod tells is asked of the node's report."""
    sharing = [t for t in state.tenants if t.share.cores != WHOLE and _class_of(t) != ONLINE]
    told = {tenant.marks[0] for tenant in sharing}
    if len(state.tenants) < state.used_slots or "" in told:
        told.add(str(state.device.custom.get("qos", "")))
    return told - {""}


# -- which card, which node --------------------------------------------------------------------------------------


def _chooser(context: FitContext) -> Chooser | None:
    if context.pod.annotations.get(APP_CLASS) == ONLINE:
        return lambda candidates, count: least_company(candidates, count, _class_of)
    return grouped(link_zone, Spill.SMALLEST_FIRST) if context.request.cores == WHOLE else None


def _score(settings: Settings, outlook: Outlook) -> float:
    """Company for a latency-sensitive pod, links for one that takes whole cards."""
    if outlook.pod.annotations.get(APP_CLASS) == ONLINE:
        return LINK_WEIGHT * sum(company_score(company(outlook.tenants_of(c), _class_of)) for c in outlook.cards())
    said = protocol.parse_bool(outlook.pod.annotations.get(TOPOLOGY, ""))
    wanted = settings.topology_aware if said is None else said
    whole = {share.card for shares in outlook.given for share in shares if share.cores == WHOLE}
    return link_term(outlook, whole, "spread" if settings.spread_penalty else "") if wanted and whole else 0


def _annotate(grant: Grant) -> dict[str, str]:
    """The lists of the protocol, and MetaX's own: per container its cards, numbers that are 0 left out."""
    cards = [
        [
            {name: value for name, value in (("uuid", s.card), ("compute", s.cores), ("vRam", s.memory_mib)) if value}
            for s in shares
        ]
        for shares in grant.given
    ]
    own = {ALLOCATED: json.dumps(cards, separators=(",", ":")), PREDICATE_TIME: grant.nanoseconds}
    return annotate_lists(grant) | own
