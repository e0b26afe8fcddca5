"""The status of an ExtendedResourceQuota: written whole, and only to the object it was computed for."""

from __future__ import annotations

from hami_operator.core.quota import QuotaId

from . import paths
from .client import Client, Json


async def write_status(client: Client, quota: QuotaId, uid: str, status: Json) -> Json:
    """Replace ``/status`` of the object of this uid. Answers with the object.

    Raises:
        KubeError: NotFound when it is gone, Invalid when another object has its name now.
    """
    operations: list[Json] = [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": status},
    ]
    return await client.json_patch(paths.extended_quota(quota.namespace, quota.name) + "/status", operations)
