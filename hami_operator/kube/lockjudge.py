"""Looking at the pod that holds a lock, and at the clock, before judging whether the lock may be taken."""

from __future__ import annotations

from collections.abc import Callable, Set

from hami_operator.core.model import PodKey

from . import paths
from .client import Client, Json
from .errors import NotFound
from .fence import PodOnNode, fence
from .lockbook import LockSettings, LockState
from .takeover import PLAIN, Holder, Marks, Take, Wait, judge, read_holder


class LockJudge:
    """Judges locks as they stand. ``in_hand`` are the uids of the pods that we are binding.

    ``marks``: how the plugins behind the locks tell how far they are, by key of the lock; to be filled by the owner.
    """

    def __init__(self, client: Client, settings: LockSettings, clock: Callable[[], float], in_hand: Set[str]) -> None:
        self.marks: dict[str, Marks] = {}
        self._client = client
        self._settings = settings
        self._clock = clock
        self._in_hand = in_hand

    async def verdict(self, state: LockState, requester: PodKey | None) -> Take | Wait:
        """Whether the lock that stands may be taken by ``requester`` (None: only removed). Raises KubeError."""
        lock, now = state.lock, self._clock()
        timeout = self._settings.timeout_of(state.key)
        if lock is None:
            return judge(Holder.UNREADABLE, 0.0, timeout)
        # A holder whose clock is ahead must not hold for ever: what stands still since we saw it ages by our clock.
        age = max(now - lock.taken, now - state.since)
        owner = state.owner
        if owner is None:
            return judge(Holder.UNNAMED, age, timeout)
        if requester is not None:
            if owner == (requester.namespace, requester.name):
                # Names are unique: it is this pod's own lock, or that of a namesake which is gone.
                return Take(Holder.GONE)
            if state.holder is not None and age < self._settings.poll_s:
                return Wait(self._settings.poll_s - age)
        pod = await self._get(owner)
        marks = self.marks.get(state.key, PLAIN)
        return judge(read_holder(pod, state.node, self._settings.scheduler_name, self._in_hand, marks), age, timeout)

    async def fenced(self, state: LockState) -> bool:
        """Fence the holder, a loose pod of ours: whether it is not on this node, now that no Binding can land."""
        owner = state.owner
        pod = await self._get(owner) if owner is not None else None
        if owner is None or pod is None:
            return True
        key = PodKey(*owner, str(pod["metadata"]["uid"]))
        if key.uid in self._in_hand:
            return False
        found = await fence(self._client, key)
        return not (isinstance(found, PodOnNode) and found.node == state.node)

    async def _get(self, owner: tuple[str, str]) -> Json | None:
        try:
            return await self._client.get(paths.pod(*owner))
        except NotFound:
            return None
