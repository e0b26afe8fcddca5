"""Arms that alternate in one run, their medians, and the ratio between them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

ROUNDS = 7


@dataclass(frozen=True)
class Row:
    """One line of the table and of ``build/bench.json``; ``arms`` are medians by name, seconds unless ``what`` says."""

    id: str
    what: str
    ratio: float
    arms: Mapping[str, float]
    rounds: int
    must: float
    strive: float
    more_is_better: bool = False

    def verdict(self) -> str:
        if self.more_is_better:
            return "strive" if self.ratio >= self.strive else "must" if self.ratio >= self.must else "misses"
        return "strive" if self.ratio <= self.strive else "must" if self.ratio <= self.must else "misses"

    def record(self) -> dict[str, object]:
        fields = asdict(self)
        del fields["more_is_better"]
        return fields


@dataclass(frozen=True)
class Bench:
    """A benchmark: ``run`` yields its rows; a name may be asked for alone."""

    name: str
    run: Callable[[], Iterator[Row]]


def seconds_per_call(work: Callable[[], object], calls: int, after: Callable[[], object] = lambda: None) -> float:
    """Seconds one call takes, garbage collection put off as ``timeit`` does; ``after`` each call is not counted."""
    gc.collect()
    gc.disable()
    spent = 0.0
    try:
        for _ in range(calls):
            begin = time.perf_counter()
            work()
            spent += time.perf_counter() - begin
            after()
        return spent / calls
    finally:
        gc.enable()


def alternate(arms: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """Medians of all arms over rounds in which each arm has its turn."""
    samples: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            samples[name].append(arm())
    return {name: statistics.median(values) for name, values in samples.items()}


async def alternate_async(arms: Mapping[str, Callable[[], Awaitable[float]]], rounds: int = ROUNDS) -> dict[str, float]:
    """As ``alternate``, for arms that wait."""
    samples: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            samples[name].append(await arm())
    return {name: statistics.median(values) for name, values in samples.items()}
