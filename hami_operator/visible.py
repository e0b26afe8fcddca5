"""Text of strangers, made harmless for people who read it: what acts instead of being seen is written as an escape."""

from __future__ import annotations

import re

#: Control characters (terminal escapes, newlines), line separators, and marks that turn the direction of writing.
_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def visible(text: str) -> str:
    """The text on one line, with ``\\u202e`` and the like in the place of characters that act."""
    return _ACTING.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()
