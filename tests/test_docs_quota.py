"""The table of keys in ``docs/quota.md`` is that of the families."""

from __future__ import annotations

import re
from pathlib import Path

from hami_operator.config import DevicesSection
from hami_operator.core.quota import PREFIX, quota_keys

TEXT = (Path(__file__).parents[1] / "docs" / "quota.md").read_text()

#: Names that there are one of for each chip; in the table one chip stands for all.
PER_CHIP = ("huawei.com/", "iluvatar.ai/MR-", "iluvatar.ai/BI-")


def test_every_key_of_every_family_stands_in_the_table_and_no_other() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "`" in line]
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    known = {
        key.removeprefix(PREFIX) for key in quota_keys(DevicesSection(vnpus={}, volcano={}, iluvatars={}).profiles())
    }
    chips = {name for name in known if name.startswith(PER_CHIP)}
    assert told - chips == known - chips
    assert {prefix for prefix in PER_CHIP if any(name.startswith(prefix) for name in told)} >= set(PER_CHIP[:2])


def test_units_of_memory_are_those_of_the_families() -> None:
    units = {"MiB": 1, "GiB": 1024, "percent": 1, "256 MiB": 256, "512 MiB": 512}
    for key in quota_keys(DevicesSection(vnpus={}, volcano={}, iluvatars={}).profiles()).values():
        row = next((line for line in TEXT.splitlines() if f"| `{key.resource}` |" in line), "")
        if key.bytes_in and row:
            unit = row.split("|")[row.split("|").index(f" `{key.resource}` ") + 1].strip()
            assert units[unit] == key.unit_mib, key.resource
