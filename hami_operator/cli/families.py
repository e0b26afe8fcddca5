"""One example of each family on a simulated node of its own, and the table of what they were given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table
from rich.text import Text

from hami_operator.sandbox import Kind, NodeSpec

from .cards import CardRow


@dataclass(frozen=True, slots=True)
class Family:
    """A family as users call it, the card type and number of cards of its node, and the example that is placed.

    ``release`` is that of HAMi whose plugin the node runs.
    """

    name: str
    card: str
    cards: int
    example: str
    release: str = "2.7"

    @property
    def node(self) -> NodeSpec:
        """Its node."""
        return NodeSpec(self.card, cards=self.cards, kind=Kind.SIMULATED, release=self.release)


FAMILIES = (
    Family("NVIDIA", "h100", 8, "nvidia/linked-cards.yaml"),
    Family("NVIDIA MIG", "a100-40-mig", 2, "nvidia/mig-whole-card.yaml"),
    Family("NVIDIA MIG, 2.10", "h100-mig", 1, "nvidia/mig-placements.yaml", release="2.10"),
    Family("Volcano vGPU", "a30-volcano", 2, "volcano/share.yaml"),
    Family("Volcano MIG", "a30-volcano-mig", 1, "volcano/mig.yaml"),
    Family("Cambricon", "mlu370", 2, "cambricon/share.yaml"),
    Family("Hygon", "k100-ai", 2, "hygon/share.yaml"),
    Family("Iluvatar", "mr-v100", 2, "iluvatar/share.yaml"),
    Family("Iluvatar MR-V100", "mr-v100-chip", 2, "iluvatar/chip.yaml"),
    Family("Enflame GCU", "s60", 2, "enflame/whole-card.yaml"),
    Family("Enflame vGCU", "s60-shared", 2, "enflame/share.yaml"),
    Family("Enflame DRS", "s60-drs", 2, "enflame/partition.yaml"),
    Family("Moore Threads", "s4000", 2, "mthreads/share.yaml"),
    Family("MetaX GPU", "metax-c500", 8, "metax/whole-cards.yaml"),
    Family("MetaX sGPU", "metax-c500-sgpu", 8, "metax/share.yaml"),
    Family("Kunlunxin XPU", "kunlun-p800", 8, "kunlun/two-cards.yaml"),
    Family("Kunlunxin vXPU", "kunlun-p800-vxpu", 8, "kunlun/slice.yaml"),
    Family("AWS Neuron", "trn1", 16, "awsneuron/block.yaml"),
    Family("AMD", "mi300x", 2, "amd/share.yaml"),
    Family("Biren", "br104", 2, "biren/whole-card.yaml"),
    Family("Vastai", "va1-die", 4, "vastai/dies-of-one-card.yaml"),
    Family("Ascend 910A", "ascend910a", 2, "ascend/910a-slice.yaml"),
    Family("Ascend 910B2", "ascend910b2", 2, "ascend/910b2-slice.yaml"),
    Family("Ascend 910B3", "ascend910b3", 8, "ascend/four-of-one-network.yaml"),
    Family("Ascend 910B4", "ascend910b4", 2, "ascend/910b4-slice.yaml"),
    Family("Ascend 910B4-1", "ascend910b4-1", 2, "ascend/910b4-1-slice.yaml"),
    Family("Ascend 910C", "ascend910c", 4, "ascend/910c-module.yaml"),
    Family("Ascend 310P", "ascend310p", 2, "ascend/slice-310p.yaml"),
)


def pod_name(example: Path) -> str:
    """The pod of an example."""
    name: str = yaml.safe_load(example.read_text(encoding="utf-8"))["metadata"]["name"]
    return name


def family_table(pods: Iterable[tuple[Family, Mapping[str, Any]]], rows: Sequence[CardRow]) -> Table:
    """A line for each pod: where it is, which cards it has, and what part of each."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for column in ("family", "node", "cards"):
        table.add_column(column, overflow="fold")
    table.add_column("memory", justify="right")
    table.add_column("cores", justify="right")
    for family, pod in pods:
        name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
        held = [
            (row.device, tenant.held)
            for row in rows
            for tenant in row.tenants
            if row.node == node and tenant.pod == f"default/{name}"
        ]
        device, amounts = held[0]
        table.add_row(
            Text(family.name, style="bold"),
            node,
            ", ".join(str(card.index) for card, _ in held),
            _part(amounts.memory_mib, device.memory_mib),
            _part(amounts.cores, device.cores),
        )
    return table


def _part(held: int, capacity: int) -> str:
    """Of one card; nothing for a family that does not count it."""
    return f"{100 * held / capacity:.0f} %" if held and capacity else "-"
