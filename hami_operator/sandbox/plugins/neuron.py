"""AWS' Neuron plugin: devices and cores of devices, by number, in one list for a pod.

The checker counts cores: each is given to one container at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hami_operator.core.model import Device, Share
from hami_operator.sandbox.errors import AllocateFailed
from hami_operator.sandbox.podview import annotations_of

from . import readers
from .habits import Answer, Call, Desk, Habits, Injection, Json, node_and_index

DEVICES, CORES = "aws.amazon.com/neuron", "aws.amazon.com/neuroncore"
IDS, KIND, TIME, ALLOCATED = "AWS_NEURON_IDS", "NEURON_RESOURCE_TYPE", "NEURON_ALLOC_TIME", "NEURON_ALLOCATED"


def _amounts(habits: Habits, cards: Sequence[Device]) -> dict[str, int]:
    return {DEVICES: len(cards), CORES: sum(card.cores for card in cards)}


def _core(card: Device, core: int) -> str:
    return f"{card.uuid}-core-{core}"


def _checked(cards: Sequence[Device]) -> dict[str, Device]:
    cores = (replace(card, uuid=_core(card, core), cores=1, slots=1) for card in cards for core in range(card.cores))
    return {core.uuid: core for core in cores}


def _serve(desk: Desk, pod: Json, call: Call) -> Answer | None:
    place = readers.next_place(desk, pod, call)
    if place is None:
        return None
    told = annotations_of(pod).get(KIND, DEVICES)
    if told != call.resource:
        raise AllocateFailed(f"annotation {IDS} is of {told}, the call is for {call.resource}")
    begin = readers.taken_before(desk, pod, place, call.resource)
    ids = readers.indexes(pod, IDS)[begin : begin + call.count]
    if len(ids) != call.count:
        raise AllocateFailed(f"{len(ids)} ids are left for the container, {call.count} are asked for")
    if call.resource == DEVICES:
        cards = [desk.card(index) for index in ids]
        names = [_core(card, core) for card in cards for core in range(card.cores)]
    else:
        per_card = desk.cards[0].cores
        names = [_core(desk.card(number // per_card), number % per_card) for number in ids]
    last = readers.is_last(desk, pod, place, call)
    variable = "AWS_NEURON_VISIBLE_DEVICES" if call.resource == DEVICES else "NEURON_RT_VISIBLE_CORES"
    envs = {variable: ",".join(map(str, ids))}
    writes = {ALLOCATED: "true"} if last else {}
    return Answer(place, tuple(Share(name, "AWSNeuron", 0, 1) for name in names), Injection(envs), writes, last=last)


def habits(instance: str) -> Habits:
    """The plugin on an instance of this type."""
    return readers.habits(
        family="AWSNeuron",
        resource=DEVICES,
        card_id=node_and_index("AWSNeuron"),
        serve=_serve,
        waits=readers.waits_with(ALLOCATED, "false"),
        since=lambda pod: readers.number(pod, TIME),
        amounts=_amounts,
        checked=_checked,
        labels={"node.kubernetes.io/instance-type": instance},
    )
