"""``/debug/ledger``: who holds what as the operator believes it, to be compared with the API server's objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from hami_operator.core.ledger import Ledger


def routes(ledger: Callable[[], Ledger]) -> list[web.RouteDef]:
    """The endpoint; ``ledger`` is asked anew each time."""

    async def show(_: web.Request) -> web.Response:
        return web.json_response(picture(ledger()))

    return [web.get("/debug/ledger", show)]


def picture(ledger: Ledger) -> dict[str, Any]:
    """The ledger as JSON.

    ``nodes``: node -> family -> card -> [shares, memory MiB, cores], nodes that hold nothing left out.
    ``quarantined``: node -> family -> what could not be read. ``assumed``: reservations of ours not seen back yet.
    ``differences``: totals that differ from a recount of the records, a line each; anything here is a bug.
    """
    records = list(ledger.records())
    usages = {node: ledger.usage(node) for node in sorted({record.node for record in records if record.node})}
    return {
        "nodes": {node: usage.cards for node, usage in usages.items() if usage.cards},
        "quarantined": {node: found for node, usage in usages.items() if (found := usage.quarantined())},
        "assumed": [
            {"pod": str(record.key), "uid": record.key.uid, "node": record.node} for record in records if record.assumed
        ],
        "differences": ledger.audit(),
    }
