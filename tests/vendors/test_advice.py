"""Advice to ask for less is true of every family: who follows it is admitted, and starts."""

from __future__ import annotations

import copy
import re
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hami_operator.core.advice import advise
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW
from tests.vendors.families import Family, under_test
from tests.vendors.test_contract import APP, EXAMPLES, asking, crowded
from tests.webhook.pods import SETTINGS
from webhook.catalogue import Catalogue
from webhook.mutate import Patch, mutate_pod


def admitted(obj: dict[str, Any], family: Family) -> Pod | None:
    """The pod as the webhook leaves it; None where it is refused."""
    verdict = mutate_pod(obj, Catalogue([family.profile]), SETTINGS)
    if not isinstance(verdict, Patch):
        return None
    changed = jsonpatch.apply_patch(copy.deepcopy(obj), [dict(operation) for operation in verdict.operations])
    return read_pod(changed)


@pytest.mark.parametrize("family", under_test(), ids=str)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_who_asks_for_what_is_advised_is_admitted_and_starts(family: Family, data: st.DataObject) -> None:
    world = crowded(data, family, nodes=2, guests=6)
    obj = asking("p", [(APP, data.draw(family.amounts))])
    pod = admitted(obj, family)
    for sentence in advise(pod, world, NOW) if pod is not None else ():
        said = re.fullmatch(r"fits on \S+ with (\S+) (\d+)( or less)?", sentence)
        if said is not None:
            followed = admitted(asking_for(obj, said[1], int(said[2])), family)
            assert followed is not None, sentence
            assert isinstance(schedule(followed, world, NOW), Placement), sentence
            if said[3]:
                less = admitted(asking_for(obj, said[1], data.draw(st.integers(1, int(said[2])))), family)
                assert less is None or isinstance(schedule(less, world, NOW), Placement), sentence


def asking_for(obj: dict[str, Any], resource: str, amount: int) -> dict[str, Any]:
    changed = copy.deepcopy(obj)
    changed["spec"]["containers"][0]["resources"]["limits"][resource] = str(amount)
    return changed
