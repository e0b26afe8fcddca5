"""The core's errors: what a user wrote wrongly, what a peer wrote wrongly. Not fitting is no error (``reasons``)."""

from __future__ import annotations


class CoreError(Exception):
    """Root of the core's errors."""


class InvalidRequest(CoreError):
    """A user's pod asks for something that can never work; the text is a sentence for that user."""


class ProtocolError(CoreError):
    """A text of the wire protocol could not be read.

    ``key`` is the annotation, ``offset`` the position (characters, from 0) of the piece that is wrong.
    """

    def __init__(self, key: str, offset: int, problem: str) -> None:
        super().__init__(f"{key}: {problem} (at character {offset})")
        self.key = key
        self.offset = offset
        self.problem = problem


class ObjectError(CoreError):
    """An API object has a field of the wrong type or form: names field, value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {value!r} is not {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed
