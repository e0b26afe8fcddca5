"""Kunlunxin's plugins: whole XPUs by index, and slices by HAMi's lists, as far as the driver's handles go."""

from __future__ import annotations

from collections import Counter

from hami_operator.sandbox.errors import AllocateFailed

from . import lists, readers
from .habits import Answer, Call, Desk, Injection, Json, Release, any_release, by_uuid, node_and_index, visible

INDEXES = "BAIDU_COM_DEVICE_IDX"
#: Of a node's driver: one for each card, and one more for each slice that a card is cut in.
HANDLES = 32


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    place = readers.next_place(desk, pod, call)
    if place is None:
        return None
    begin = readers.taken_before(desk, pod, place, call.resource)
    cards = [desk.card(index) for index in readers.indexes(pod, INDEXES)[begin : begin + call.count]]
    if len(cards) != call.count:
        raise AllocateFailed(f"{len(cards)} cards are left for the container, {call.count} are asked for")
    envs = {"XPU_VISIBLE_DEVICES": ",".join(str(card.index) for card in cards)}
    return Answer(place, readers.whole(cards, "kunlun"), Injection(envs))


WHOLE = readers.habits(
    family="kunlun",
    resource="kunlunxin.com/xpu",
    card_id=node_and_index("kunlun"),
    serve=_serve,
    waits=readers.waits_with(INDEXES),
)


def _type_text(product: str, release: Release) -> str:
    return "XPU"


def _serve_slices(desk: Desk, pod: Json, call: Call) -> Answer:
    """Slices of one card have one size, and all cuts together must leave the driver its handles."""
    answer = lists.serve(desk, pod, call)
    cuts: dict[str, int] = {}
    for card in desk.cards:
        sizes = Counter(tenant.share.memory_mib for tenant in desk.tenants(card.uuid))
        sizes.update(share.memory_mib for share in answer.shares if share.uuid == card.uuid)
        if len(sizes) > 1:
            raise AllocateFailed(f"card {card.uuid} would be cut in slices of {sorted(sizes)} MiB at once")
        cuts[card.uuid] = max((card.memory_mib // size for size in sizes if size), default=1)
    handles = len(cuts) + sum(cut for cut in cuts.values() if cut > 1)
    if handles > HANDLES:
        raise AllocateFailed(f"{handles} handles would be needed, the driver has {HANDLES}")
    return answer


#: HAMi's documentation names cards by their PCI address; only its colons can't stand in an id of the lists.
_CARD = "xpu-"

SLICES = lists.habits(
    **lists.keys("xpu", register_key="hami.io/node-register-xpu"),
    family="XPU",
    resource="kunlunxin.com/vxpu",
    releases=any_release(lists.library("XPU")),
    card_id=by_uuid(_CARD),
    serve=_serve_slices,
    type_text=_type_text,
    inject=visible("XPU_VISIBLE_DEVICES"),
    labels={"xpu": "on"},
)
