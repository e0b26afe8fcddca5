"""MetaX GPUs that are given whole: the decision counts them, MetaX's own plugin chooses the cards.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/metax/device.go. HAMi wants every container of a pod on the same card, which
no card for one allows; here each gets its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from hami_operator.allocators.zones import Spill, grouped, link_term, link_zone
from hami_operator.core.capacity import CountedCards
from hami_operator.core.errors import ProtocolError
from hami_operator.core.jsonfields import read_json, read_records
from hami_operator.core.model import Device, Node
from hami_operator.core.request import read_request
from hami_operator.core.vendor import WHOLE_CHECKS, Chooser, FitContext, Hooks, Outlook, Profile, ResourceNames

SECTION = "metax"
KEY = "Metax-GPU"

REGISTER = "metax-tech.com/node-gpu-devices"

#: JSON maps of MetaX's plugin, number of cards -> what taking so many loses, or is worth, on the node as it is now.
LOSSES = "metax-tech.com/gpu.topology.losses"
SCORES = "metax-tech.com/gpu.topology.scores"
#: HAMi counts a loss, and for spread a worth, from here down.
FULL_MARKS = 2000

CARDS = CountedCards("metax", Device("", 0, 1, 65536, 100, KEY))


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``metax`` section of the device configuration, as far as whole cards go."""

    whole_name: str
    spread_penalty: bool


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The family of whole cards."""
    return (
        Profile(
            key=KEY,
            names=ResourceNames(settings.whole_name),
            to_allocate_key="hami.io/metax-gpu-devices-to-allocate",
            allocated_key="hami.io/metax-gpu-devices-allocated",
            request_of=read_request,
            inventory_of=_inventory,
            node_keys=(LOSSES, SCORES),
            core_default=CARDS.like.cores,
            checks=WHOLE_CHECKS,
            hooks=Hooks(chooser=_chooser, node_score=partial(_score, "spread" if settings.spread_penalty else "")),
        ),
    )


def _inventory(profile: Profile, node: Node) -> tuple[Device, ...]:
    devices = CARDS.devices(profile, node)
    zones = _zones(node)
    if len(zones) != len(devices):
        return devices
    return tuple(replace(device, custom={"zone": zone}) for device, zone in zip(devices, zones, strict=True))


def _zones(node: Node) -> list[int]:
    """The link zones of a node that publishes them for its whole cards, by position; none where they can't be read."""
    try:
        records = read_records(REGISTER, read_json(REGISTER, node.annotations.get(REGISTER, "[]")))
        return [record.number("linkZone") for record in records]
    except ProtocolError:
        return []


def _chooser(context: FitContext) -> Chooser | None:
    linked = any(link_zone(state.device) for state in context.cards)
    return grouped(link_zone, Spill.SMALLEST_FIRST) if linked else None


def _score(against: str, outlook: Outlook) -> float:
    if not any(link_zone(device) for device in outlook.devices.values()):
        return _published(outlook)
    return link_term(outlook, outlook.cards(), against)


def _published(outlook: Outlook) -> float:
    """The node's own figure for so many cards.

    HAMi takes a figure that is missing for the best there is (no loss); here it is the worst (no worth).
    """
    cards = len(outlook.cards())
    if outlook.node_policy == "spread":
        return (_figure(outlook.node, SCORES, cards) or 0) - FULL_MARKS
    loss = _figure(outlook.node, LOSSES, cards)
    return 0 if loss is None else FULL_MARKS - loss


def _figure(node: Node, key: str, cards: int) -> int | None:
    """The figure under this number of cards; None where it is absent or can't be read."""
    try:
        figures = read_json(key, node.annotations.get(key, "{}"))
    except ProtocolError:
        return None
    figure = figures.get(str(cards)) if isinstance(figures, dict) else None
    return figure if type(figure) is int else None
