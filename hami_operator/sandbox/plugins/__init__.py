"""The habits of the vendors' device plugins: one module each, one line in the table."""

from __future__ import annotations

from . import nvidia
from .habits import Grant, Habits, Injection, Mount, Release

HABITS: dict[str, Habits] = {"nvidia": nvidia.HABITS}

__all__ = ["HABITS", "Grant", "Habits", "Injection", "Mount", "Release"]
