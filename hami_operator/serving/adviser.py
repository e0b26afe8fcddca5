"""Advice for the page: one pod at a time, in small steps between which decisions go on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from hami_operator.core.advice import advising
from hami_operator.core.model import Pod
from hami_operator.world import World

#: Seconds of work before everybody else has a turn, and how long that turn is at least.
STEP_SECONDS, PAUSE_SECONDS = 0.002, 0.005
#: Advice is given again for so long instead of being worked out anew, for so many pods.
KEPT_SECONDS, PODS_KEPT = 10.0, 256
#: Who has to wait for longer than this goes without.
PATIENCE_SECONDS = 5.0


@dataclass(slots=True)
class Adviser:
    """What would let pods start, as it was worked out last: by uid, with the time (monotonic seconds)."""

    _known: dict[str, tuple[float, list[str]]] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def advice(self, pod: Pod, world: World) -> list[str] | None:
        """Sentences for a pod that waits; None when too many ask at a time."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                async with self._turn:
                    at, sentences = self._known.get(pod.key.uid, (0.0, []))
                    if not at or time.monotonic() - at > KEPT_SECONDS:
                        sentences = await self._work_out(pod, world)
                    return sentences
        except TimeoutError:
            return None

    async def _work_out(self, pod: Pod, world: World) -> list[str]:
        sentences, begin = [], time.perf_counter()
        for sentence in advising(pod, world.cluster, world.now()):
            if sentence is not None:
                sentences.append(sentence)
            if time.perf_counter() - begin > STEP_SECONDS:
                await asyncio.sleep(PAUSE_SECONDS)
                begin = time.perf_counter()
        self._known.pop(pod.key.uid, None)
        self._known[pod.key.uid] = time.monotonic(), sentences
        if len(self._known) > PODS_KEPT:
            del self._known[next(iter(self._known))]
        return sentences
