"""Kunlunxin XPUs that are given whole: 1, 2, 4 or 8 of a board, by its wings.

Sources: HAMi v2.7.0 and v2.10.0 pkg/device/kunlun/{device,topology}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hami_operator.allocators.wings import COUNTS, by_index, power_of_two, worth
from hami_operator.core.capacity import CountedCards
from hami_operator.core.errors import InvalidRequest
from hami_operator.core.model import Container, Device, Node
from hami_operator.core.reasons import Reason
from hami_operator.core.request import read_request
from hami_operator.core.vendor import (
    Admission,
    Check,
    Chooser,
    CountName,
    FitContext,
    Grant,
    Hooks,
    Outlook,
    Profile,
    SelectionKeys,
    annotate_lists,
    charge_whole,
)

SECTION = "kunlun"
KEY = "kunlun"

INDEXES = "BAIDU_COM_DEVICE_IDX"

CARDS = CountedCards(KEY, Device("", 0, 100, 98304, 100, KEY))

#: What a placement is worth by how many more jobs it leaves open on the board than there were; the more, the worse.
SCORES = {-1: 3000, 0: 2000, 1: 1000, 2: 0}
OTHER_SCORE = 1000


#: The ``kunlun`` section of the device configuration, as far as whole cards go.
Settings = CountName


def profiles(settings: Settings) -> tuple[Profile, ...]:
    """The family of whole cards."""
    return (
        Profile(
            key=KEY,
            names=settings.names(),
            allocated_key="hami.io/kunlun-allocated",
            request_of=read_request,
            inventory_of=_inventory,
            selection=SelectionKeys(
                use_uuid="baidu.com/use-gpuuuid",
                nouse_uuid="baidu.com/nouse-gpuuuid",
                also_use_uuid=("hami.io/use-xpu-uuid",),
                also_nouse_uuid=("hami.io/no-use-xpu-uuid",),
            ),
            extra_keys=(INDEXES,),
            checks=(Check.HEALTH, Check.CORDON, Check.IDLE, Check.UUID),
            hooks=Hooks(
                admit=_admit,
                charge=charge_whole,
                chooser=_chooser,
                no_choice=Reason.NUMA_NOT_FIT,
                node_score=_score,
                annotate=_annotate,
            ),
        ),
    )


def _admit(profile: Profile, container: Container, annotations: Mapping[str, str]) -> Admission:
    request = profile.request(container)
    if request is not None and request.count not in COUNTS:
        raise InvalidRequest(
            f"container {container.name!r}: {profile.names.count} is {request.count}, allowed are 1, 2, 4 and 8: "
            f"no other number of cards is linked"
        )
    return Admission(claimed=request is not None)


def _inventory(profile: Profile, node: Node) -> tuple[Device, ...]:
    """Which card is broken is not told, so none is; how many work is a matter of what is allocatable."""
    devices = CARDS.devices(profile, node)
    return tuple(replace(d, healthy=True, numa=int(d.index >= len(devices) // 2)) for d in devices)


def _chooser(context: FitContext) -> Chooser:
    return by_index(power_of_two)


def _score(outlook: Outlook) -> float:
    """How little the placement breaks up the board.

    HAMi looks at the pod's own cards alone afterwards, as if nobody else were on the board.
    """
    before = {outlook.devices[card].index for card in outlook.used if card in outlook.devices}
    after = before | {outlook.devices[card].index for card in outlook.cards()}
    return SCORES.get(worth(after) - worth(before), OTHER_SCORE)


def _annotate(grant: Grant) -> dict[str, str]:
    """The plugin reads one list of indexes per pod. HAMi leaves that of the last container; here it is all of them."""
    shares = {share.card: share for container in grant.given for share in container}
    return annotate_lists(grant) | {INDEXES: grant.indexes(list(shares.values()))}
