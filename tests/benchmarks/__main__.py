"""``python -m tests.benchmarks [NAME ...]``: run the benchmarks, print a table, write build/bench.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import bind, decide, decode, memory, mixed, quota, serving, simulate, topology, waiting, webhook
from .harness import Row

BENCHES = (
    decide.BENCH,
    mixed.BENCH,
    topology.BENCH,
    decode.BENCH,
    *waiting.BENCHES,
    quota.BENCH,
    memory.BENCH,
    simulate.BENCH,
    serving.BENCH,
    webhook.BENCH,
    bind.BENCH,
)
RESULT = Path("build/bench.json")


def main(names: list[str]) -> None:
    console = Console()
    rows: list[Row] = []
    for bench in BENCHES:
        if not names or bench.name in names:
            for row in bench.run():
                console.print(f"{row.id}: {row.ratio:.3g} ({', '.join(f'{k} {v:.3g}' for k, v in row.arms.items())})")
                rows.append(row)
    table = Table("id", "what", "ratio", "must", "strive", "")
    for row in rows:
        table.add_row(row.id, row.what, f"{row.ratio:.3g}", f"{row.must:g}", f"{row.strive:g}", row.verdict())
    console.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps([row.record() for row in rows], indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
