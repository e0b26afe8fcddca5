"""Before the first decision of a new leader: no Binding that was sent before may land any more."""

from __future__ import annotations

import asyncio

from hami_operator.core.model import PodKey
from hami_operator.handlers.pods import on_pod_fenced
from hami_operator.kube.client import Client
from hami_operator.kube.fence import PodAbsent, fence
from hami_operator.world import World

#: Pods fenced at the same time.
FENCES = 16


async def fence_pending(world: World, client: Client) -> None:
    """Fence every pod that is pending, and those that we reserved cards for when we led before.

    ``client`` is to be guarded by the lease. Tries until each has been answered.

    Raises:
        NotLeading: the lease was lost; no fence is under way any more.
    """
    room = asyncio.Semaphore(FENCES)

    async def one(key: PodKey) -> None:
        async with room:
            found = await fence(client, key)
        on_pod_fenced(world, key, None if isinstance(found, PodAbsent) else found.pod)

    reserved = [record.key for record in world.cluster.ledger.records() if record.assumed]
    fences = [asyncio.ensure_future(one(key)) for key in {*reserved, *(pod.key for pod in world.queue.pods())}]
    try:
        await asyncio.gather(*fences)
    finally:  # one that ends later must not settle what is decided by then
        for left in fences:
            left.cancel()
        await asyncio.gather(*fences, return_exceptions=True)
