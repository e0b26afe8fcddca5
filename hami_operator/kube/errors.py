"""Trouble with the API server, as one tree. Two questions matter: was there an answer, and what did it say.

``Refused`` is a definite answer: the request had no effect. ``Unanswered`` is no answer: the request may have had its
effect, or may still have it later, so nobody may act as if it had failed before that has been ruled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Root: the world's fault, to be tried again later."""


class AccessError(KubeError):
    """We don't know how to reach the API server or how to log in: names the file and what is wrong with it."""


class NotLeading(KubeError):
    """A write was asked for after the lease was lost. Nothing was sent."""


class Refused(KubeError):
    """The API server answered with 4xx. The request had no effect.

    ``status`` is the HTTP code, ``reason`` the machine-readable word of the Status object ("Conflict", "NotFound"),
    ``causes`` the fields it names, as texts.
    """

    def __init__(self, status: int, reason: str, message: str, causes: tuple[str, ...] = ()) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes


class NotFound(Refused):
    """404: the object, or its kind, is not there."""


class Conflict(Refused):
    """409: the object changed, a precondition does not hold, or it exists already."""

    @property
    def exists(self) -> bool:
        """Whether an object of that name was there already."""
        return self.reason == "AlreadyExists"


class Expired(Refused):
    """410: the version or the continue token of a list or watch is too old; list again."""


class Denied(Refused):
    """401 or 403: not logged in, or not allowed to."""


class Invalid(Refused):
    """400, 422 and the rest of 4xx: the server does not accept what was sent."""

    @property
    def test_failed(self) -> bool:
        """Whether a ``test`` of a JSON patch did not hold: 422 that names no field (kube-apiserver v1.37.2)."""
        return self.status == 422 and not self.causes


class Unanswered(KubeError):
    """Time-out, cut connection, 429, 5xx or an unreadable answer. ``retry_after`` is seconds, 0 when not given."""

    def __init__(self, problem: str, retry_after: float = 0.0) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


_BY_STATUS: Mapping[int, type[Refused]] = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 410: Expired}


def refusal(code: int, status: Mapping[str, Any]) -> Refused:
    """The error for an answer ``code`` (4xx) whose body is a Status object (empty when it could not be read)."""
    details = status.get("details") or {}
    causes = tuple(f"{c.get('field', '')}: {c.get('message', '')}" for c in details.get("causes") or ())
    kind = _BY_STATUS.get(code, Invalid)
    return kind(code, str(status.get("reason") or "Unknown"), str(status.get("message") or "no message"), causes)
