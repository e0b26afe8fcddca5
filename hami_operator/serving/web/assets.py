"""The style sheet and the script, read once, and the templates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import markup

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load. ``etag`` changes with its content."""

    body: bytes
    content_type: str
    etag: str


_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def load_assets() -> dict[str, Asset]:
    """The static files by name."""
    found = {}
    for path in sorted((HERE / "static").iterdir()):
        body = path.read_bytes()
        found[path.name] = Asset(body, _TYPES[path.suffix], digest(body))
    return found


def digest(body: bytes) -> str:
    """A short hash of the content, as an ETag."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def environment() -> Environment:
    """The templates. Everything printed is escaped, and strangers' text made visible."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=markup.plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "memory": markup.memory,
        "gib": markup.gib,
        "cores": markup.cores,
        "counted": markup.counted,
        "model_name": markup.model_name,
        "ago": markup.ago,
        "bar": markup.bar,
        "Part": markup.Part,
        "GIVEN": markup.GIVEN,
        "WARNING": markup.WARNING,
        "key": markup.key,
        "fills": markup.fills,
        "memory_parts": markup.memory_parts,
        "core_parts": markup.core_parts,
        "slot_parts": markup.slot_parts,
        "shell": markup.shell,
    }
    return made
