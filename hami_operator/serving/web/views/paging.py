"""Long lists in pages, and the search box above them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: items whose name holds ``text`` (any case), and which page of them, from 1 on."""

    text: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A piece of a list that holds ``total`` items in ``pages`` pages."""

    items: list[Item]
    page: int
    pages: int
    total: int
    text: str


def paged(names: Iterable[str], query: Query, build: Callable[[str], Item]) -> Page[Item]:
    """Only the items of the page are built; a page beyond the last is the last."""
    wanted = query.text.casefold()
    found = [name for name in names if wanted in name.casefold()]
    pages = max(-(-len(found) // PER_PAGE), 1)
    page = min(query.page, pages)
    part = found[(page - 1) * PER_PAGE : page * PER_PAGE]
    return Page([build(name) for name in part], page, pages, len(found), query.text)
