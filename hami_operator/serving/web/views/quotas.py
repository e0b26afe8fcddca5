"""``/quotas``: each limit of each namespace, how much of it is used, and by whom."""

from __future__ import annotations

from hami_operator.serving.quotas import QuotaRow, quota_rows
from hami_operator.serving.sight import Sight

from .paging import Page, Query, paged


def quotas(sight: Sight, query: Query) -> Page[QuotaRow]:
    """All limits, by namespace, object and key."""
    rows = {f"{row.namespace}/{row.name} {row.key} {row.kind}": row for row in quota_rows(sight.world.cluster)}
    return paged(rows, query, lambda name: rows[name])
