"""The demo's last scene: no family is missing, and the table tells what each pod holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rich.console import Console

from hami_operator.cli.cards import CardRow, Tenant
from hami_operator.cli.families import FAMILIES, Family, family_table, pod_name
from hami_operator.config import DevicesSection
from hami_operator.core.model import Device
from hami_operator.core.vendor import Amounts
from hami_operator.sandbox.cards import card_type

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
#: Chips of Iluvatar that are placed as the one that is shown.
ALIKE = {"MR-V50", "BI-V150", "BI-V100"}


def test_every_family_that_the_operator_knows_is_placed() -> None:
    known = {profile.key for profile in DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()}
    placed = {"Enflame-DRS" if f.card == "s60-drs" else card_type(f.card).habits.family for f in FAMILIES}
    assert placed == known - ALIKE


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_example_of_a_family_is_a_single_pod(family: Family) -> None:
    (pod,) = yaml.safe_load_all((EXAMPLES / family.example).read_text())
    assert pod["kind"] == "Pod"
    assert pod_name(EXAMPLES / family.example) == pod["metadata"]["name"]


def test_the_table_tells_the_cards_and_the_part_of_each() -> None:
    family = Family("Hygon", "k100-ai", 2, "hygon/share.yaml")
    devices = [Device(f"DCU-{index}", index, 4, 65520, 100, "DCU") for index in (0, 1)]
    held = Tenant("default/dcu", Amounts(1, 32760, 60))
    rows = [
        CardRow("k100-ai-0", "DCU", devices[0], (held, Tenant("default/other", Amounts(1, 1, 1)))),
        CardRow("k100-ai-0", "DCU", devices[1], (held,)),
        CardRow("k100-ai-1", "DCU", devices[0], (held,)),
    ]
    pod = {"metadata": {"name": "dcu"}, "spec": {"nodeName": "k100-ai-0"}}
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(family_table([(family, pod)], rows))
    assert console.export_text().splitlines()[1].split() == ["Hygon", "k100-ai-0", "0,", "1", "50", "%", "60", "%"]
