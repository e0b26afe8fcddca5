"""Bad input, family by family: what users may not write, and what nodes and other schedulers may not be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from hami_operator.config import DevicesSection
from hami_operator.core.cluster import Cluster
from hami_operator.core.errors import ProtocolError
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Node, Pod
from hami_operator.core.vendor import Amounts, Profile
from tests import golden
from tests.builders import NOW, cluster, node
from tests.vendors.binding import bind, pod_of, refusal
from tests.vendors.replay import family
from tests.webhook.pods import SETTINGS
from webhook.catalogue import Catalogue
from webhook.mutate import Refusal, mutate_pod

EVERY = DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()
BY_KEY = {profile.key: profile for profile in EVERY}

#: Worked examples, the table last. NVIDIA's have short names, and a table in ``tests/webhook``.
FILES = (
    *("amd", "ascend", "biren", "cambricon", "enflame", "hygon", "iluvatar", "kunlun", "metax", "mthreads", "neuron"),
    *("vastai", "bad_input"),
)

#: Families that differ in names alone from one in the table.
ALIKE = {"MR-V50", "BI-V150", "BI-V100", "Ascend910A", "Ascend910B2", "Ascend910B4-1", "Ascend910B4", "Ascend910C"}


def _denied() -> list[Any]:
    """Every row of the families' files that is refused under the usual settings, and those of the table."""
    found = []
    for name in FILES:
        sections = yaml.safe_load((golden.HERE / f"{name}.yaml").read_text())
        rows = (row for section in sections.values() if isinstance(section, list) for row in section)
        denied = (row for row in rows if "denied" in row)
        found += [pytest.param(row, id=f"{name}-{row['name']}".replace(" ", "-")) for row in denied]
    return found


BAD = _denied()


def pod_object(row: Mapping[str, Any]) -> dict[str, Any]:
    limits = {name: str(value) for name, value in row["limits"].items()}
    asking = {"name": "main", "resources": {"limits": limits, "requests": dict(limits)}}
    spec: dict[str, Any] = {"containers": [{"name": "other"}]}
    spec.setdefault(row.get("kind", "containers"), []).append(asking)
    return {"metadata": {"name": "p", "namespace": "d", "annotations": row.get("annotations", {})}, "spec": spec}


@pytest.mark.parametrize("row", BAD)
def test_what_can_not_be_is_refused_with_every_family_in_force(row: Mapping[str, Any]) -> None:
    verdict = mutate_pod(pod_object(row), Catalogue(EVERY), SETTINGS)
    assert isinstance(verdict, Refusal), verdict
    assert row["denied"] in verdict.message


def test_no_family_is_without_a_row() -> None:
    named = {name for param in BAD for name in param.values[0]["limits"]}
    assert {profile.key for profile in EVERY if not profile.named_in(named)} <= ALIKE


# -- device lists that another vendor's scheduler or plugin wrote ------------------------------------------------

LISTS = yaml.safe_load((golden.HERE / "bad_input.yaml").read_text())["lists"]


def running(profile: Profile, text: str) -> Pod:
    """A pod on ``n1`` that asks for the family, whose device list is this text."""
    asked = {profile.names.count: 1}
    return replace(pod_of("p", asked), node_name="n1", annotations={profile.allocated_key: text})


def of_another(profile: Profile) -> list[str]:
    return [text for text in LISTS.values() if f",{profile.record_kind}," not in text]


@pytest.mark.parametrize("profile", EVERY, ids=lambda profile: profile.key)
def test_a_list_in_the_form_of_another_vendor_blocks_and_never_frees(profile: Profile) -> None:
    texts = of_another(profile)
    assert len(texts) > 6
    for text in texts:
        ledger = Ledger(EVERY)
        change = ledger.observe(running(profile, text), NOW)
        assert profile.key in change.problems, text
        assert ledger.usage("n1").quarantined().keys() == {profile.key}


DCU = family("DCU")
SHARE = {"hygon.com/dcunum": 1, "hygon.com/dcumem": 2000, "hygon.com/dcucores": 60}
REGISTER = "hami.io/node-dcu-register"


def dcu_node(name: str, *cards: str) -> Node:
    text = "".join(f"{card},4,65520,100,DCU-K100_AI,0,true,{i},hami:" for i, card in enumerate(cards))
    return node(name, metadata={"annotations": {REGISTER: text}})


def test_no_card_is_given_where_nobody_knows_what_is_held() -> None:
    there = cluster([dcu_node("n1", "DCU-0")], profiles=EVERY)
    there.ledger.observe(running(DCU, LISTS["nvidia"]), NOW)
    assert "names cards of NVIDIA alone" in refusal(there, pod_of("q", SHARE))


def test_cards_that_hami_lists_under_a_second_familys_key_are_left_out() -> None:
    """B21: v2.7.0 appends the cards of a container's first family to the list of its second."""
    both = {"nvidia.com/gpu": 1, **SHARE}
    lists = {
        "hami.io/vgpu-devices-allocated": "GPU-a,NVIDIA,1000,0:;",
        DCU.allocated_key: "GPU-a,NVIDIA,1000,0:DCU-0,DCU,2000,60:;",
    }
    ledger = Ledger(EVERY)
    change = ledger.observe(replace(pod_of("p", both), node_name="n1", annotations=lists), NOW)
    assert change.problems == {}
    assert ledger.usage("n1").cards == {
        "NVIDIA": {"GPU-a": Amounts(1, 1000, 0)},
        "DCU": {"DCU-0": Amounts(1, 2000, 60)},
    }


# -- what nodes register -----------------------------------------------------------------------------------------


def held(there: Cluster, name: str) -> Mapping[str, Amounts]:
    return there.ledger.usage(name).cards.get("DCU", {})


def test_one_uuid_on_two_nodes_is_a_card_on_each() -> None:
    """A node that was given a new name, or two that were cloned: neither takes anything from the other."""
    there = cluster([dcu_node("n1", "DCU-0"), dcu_node("n2", "DCU-0")], profiles=EVERY)
    for number in range(2):
        bind(there, DCU, pod_of(f"p{number}", SHARE))
    assert held(there, "n1") == held(there, "n2") == {"DCU-0": Amounts(1, 2000, 60)}
    assert there.ledger.audit() == []
    assert there.inventory.remove("n2")
    assert refusal(there, pod_of("p2", SHARE)) == "1/1 CardInsufficientCore"


@pytest.mark.parametrize("profile", [p for p in EVERY if p.register_key], ids=lambda profile: profile.key)
def test_amounts_of_a_family_without_its_register_are_no_cards(profile: Profile) -> None:
    """Capacity without inventory: a plugin that has not told its cards yet, or a name that somebody else advertises."""
    others = [name for name in profile.names.all() if name != "enflame.com/vgcu"]
    amounts = dict.fromkeys(others, "8")
    on = node("n1", status={"capacity": amounts, "allocatable": amounts})
    assert profile.inventory(on) == ()


def test_a_register_of_one_vendor_under_the_key_of_another_gives_no_wrong_cards() -> None:
    """Six fields of Volcano's, nine of HAMi's, and JSON: each is read where it belongs, or told."""
    texts = {
        "volcano": "GPU-a,10,24576,NVIDIA-A30,true,hami-core:",
        "metax": '[{"uuid":"GPU-a0","model":"sgpu","totalDevCount":16,"totalCompute":100,"totalVRam":65536}]',
        "drs": '{"devices":[{"index":"0","minor":"0","capacity":6}],"profiles":{"1g.6gb":"0"}}',
    }
    for profile in (BY_KEY["NVIDIA"], DCU, BY_KEY["XPU"], BY_KEY["AMD"], BY_KEY["Biren"]):
        for text in texts.values():
            with pytest.raises(ProtocolError, match=profile.register_key):
                profile.inventory(node("n1", metadata={"annotations": {profile.register_key: text}}))
