"""Calls of kubectl, to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Completed:
    """The outcome of a kubectl call."""

    returncode: int
    stdout: str
    stderr: str


async def run(path: Path, arguments: Sequence[str], environment: Mapping[str, str], stdin: str = "") -> Completed:
    """Run this kubectl in this environment."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        path, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    )
    output, errors = await process.communicate(stdin.encode())
    return Completed(process.returncode or 0, output.decode(), errors.decode())
