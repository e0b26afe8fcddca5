"""``python -m tests.vendors.walk PLACEMENTS [SEED]``: a long random walk over every family, told as it goes.

It places so many pods in worlds of one to three nodes, checks the rules after each placement (``rules``), and ends with
a line that says ``clean``, or with the first rule that does not hold and the seed of that world.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.vendors.families import under_test

from .drawing import all_kinds
from .steps import walk

#: Placements after which cards and requests are drawn anew.
STAGE = 50_000


def main(placements: int, seed: int) -> None:
    counts: Counter[str] = Counter()
    begin, stage = time.monotonic(), 0
    while counts["placed"] < placements:
        own_seed = seed * 1000 + stage
        counts += walk(all_kinds(own_seed), min(STAGE, placements - counts["placed"]), own_seed)
        stage += 1
        seconds = time.monotonic() - begin
        print(f"{counts['placed']} placed, {counts['decided']} decided, {seconds:.0f} s", flush=True)
    families = ", ".join(f"{family} {counts[str(family)]}" for family in under_test())
    print(f"clean: {counts['placed']} placements of {counts['decided']} decisions")
    print(
        f"compared: {counts['compared']} decisions with a fresh cluster, {counts['brute force']} nodes with brute force"
    )
    print(f"by family: {families}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
