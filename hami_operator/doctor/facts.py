"""What a doctor is told of a cluster, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hami_operator.live import Live

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and what mends it."""

    what: str
    remedy: str


@dataclass(slots=True)
class Facts:
    """What was asked of the cluster.

    ``admission`` is the answer to a dry run of an accelerator pod, empty when it was admitted;
    ``scheduler_configuration`` is that of the kube-scheduler beside the operator, None where there is none, and
    ``scheduler_expected`` what the operator's settings in the cluster make of it, None where they can't be read;
    ``missing_rights`` are those of the operator's account; ``skew`` is our clock minus the API server's, in seconds.
    ``hidden``: field -> why it could not be read; nothing is said of such.
    """

    live: Live
    namespace: str
    scheduler_name: str
    now: float
    deployments: Sequence[Json] = ()
    webhooks: Sequence[Json] = ()
    admission: str = ""
    admitted: Json = field(default_factory=dict)
    missing_rights: Sequence[str] = ()
    scheduler_configuration: Json | None = None
    scheduler_expected: Json | None = None
    lease: Json | None = None
    crd: Json | None = None
    skew: float = 0.0
    hidden: dict[str, str] = field(default_factory=dict)
