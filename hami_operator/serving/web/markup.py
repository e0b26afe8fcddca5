"""Pieces of HTML that templates use: amounts with their units, times, and bars that are read at a glance.

A part of a bar has a colour that colour-blind people tell apart (Okabe and Ito), then a pattern, and a letter.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from markupsafe import Markup

from hami_operator.serving.rollup import Fill
from hami_operator.visible import visible

from .views.nodes import CardRow

COLOURS, PATTERNS, LETTERS = 7, 4, "abcdefghijklmnopqrstuvwxyz"

#: Places of parts that are nobody's in particular: given to many, nearly used up, free.
GIVEN, WARNING, NOBODY = -1, -2, -3

#: The smallest part, in percent of a bar, that has room for its letter.
LETTER_PERCENT = 4.0


class Part(NamedTuple):
    """A part of a bar: who, how much, the same in words, and the number that gives its letter and colour."""

    who: str
    amount: int
    words: str
    place: int


def memory(mib: int) -> Markup:
    """``8.0 GiB``, with the exact MiB as title."""
    return Markup('<span class="n" title="{} MiB">{}</span>').format(mib, gib(mib))


def gib(mib: int) -> str:
    """MiB as GiB with one decimal."""
    return f"{mib / 1024:.1f} GiB"


def cores(amount: int, unit: str) -> str:
    """``30 %`` of a card, or ``4 cores``."""
    return f"{amount} {unit}"


def counted(number: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def model_name(text: str) -> Markup:
    """A card's model without its maker's name in front, which every line would repeat."""
    short = text.removeprefix("NVIDIA-").removeprefix("NVIDIA ") or text
    return Markup('<bdi title="{}">{}</bdi>').format(visible(text), visible(short))


def ago(at: float | None, now: float) -> Markup:
    """How long ago, with the moment as title; nothing for a time that is not known."""
    if not at:
        return Markup("")
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    words = f"in {duration(at - now)}" if at > now else f"{duration(now - at)} ago"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment, moment, words)


def duration(seconds: float) -> str:
    """``12 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"


def letter(place: int) -> str:
    """a to z, then aa to az and so on."""
    more, rest = divmod(place, len(LETTERS))
    return (letter(more - 1) if more else "") + LETTERS[rest]


def key(place: int) -> Markup:
    """The square that stands for a part in a legend."""
    pattern, number = _pattern(place)
    square = Markup('<rect width="100%" height="100%" class="c{}"/>').format(number)
    text = Markup('<text x="50%" y="50%" class="t{}">{}</text>').format(number, letter(place))
    return Markup('<svg class="key" aria-hidden="true">') + square + pattern + text + Markup("</svg>")


def bar(parts: Sequence[Part], total: int, label: str) -> Markup:
    """A bar whose parts lie side by side; what is beyond ``total`` is cut off."""
    pieces, left = [], 0.0
    for part in parts:
        width = min(100.0 * part.amount / total, 100.0 - left) if total > 0 else 0.0
        if width > 0:
            pieces.append(_piece(part, left, width))
            left += width
    spoken = ", ".join([label, *(f"{part.who} {part.words}" for part in parts)])
    return (
        Markup('<svg class="bar" role="img" aria-label="{}">').format(visible(spoken))
        + Markup("").join(pieces)
        + Markup("</svg>")
    )


def _piece(part: Part, left: float, width: float) -> Markup:
    where = Markup('x="{:.2f}%" width="{:.2f}%" height="100%"').format(left, width)
    pattern, number = _pattern(part.place)
    pattern = Markup('<rect {} fill="url(#p{})"/>').format(where, _number(part.place)) if pattern else pattern
    title = visible(f"{part.who}: {part.words}")
    piece = Markup('<g><title>{}</title><rect {} class="c{}"/>{}').format(title, where, number, pattern)
    if width >= LETTER_PERCENT and part.place >= 0:
        middle = f"{left + width / 2:.2f}%"
        piece += Markup('<text x="{}" y="50%" class="t{}">{}</text>').format(middle, number, letter(part.place))
    return piece + Markup("</g>")


def _number(place: int) -> int:
    return place // COLOURS % PATTERNS


def _pattern(place: int) -> tuple[Markup, str]:
    """The pattern over a legend's square, and the colour's class; places below 0 are nobody's in particular."""
    if place < 0:
        return Markup(""), {WARNING: "w", NOBODY: "n"}.get(place, "g")
    number = _number(place)
    over = Markup('<rect width="100%" height="100%" fill="url(#p{})"/>').format(number) if number else Markup("")
    return over, str(place % COLOURS)


def fills(cards: Sequence[Fill]) -> Markup:
    """A column per card, as high as the card is full; a cross is an unhealthy one."""
    words = ", ".join(
        f"card {card.index} {card.per_mille / 10:.0f} %" + ("" if card.healthy else " unhealthy") for card in cards
    )
    label = Markup('<svg class="fills" width="{}" height="26" role="img" aria-label="{}">').format(
        11 * len(cards), visible(words)
    )
    return label + Markup("").join(_fill(11 * place, card) for place, card in enumerate(cards)) + Markup("</svg>")


def _fill(left: int, card: Fill) -> Markup:
    height = -(-26 * card.per_mille // 1000)
    title = f"card {card.index}: {card.per_mille / 10:.0f} %" + ("" if card.healthy else ", unhealthy")
    piece = Markup('<g><title>{}</title><rect class="track" x="{}" width="9" height="26"/>').format(title, left)
    piece += Markup('<rect class="cg" x="{}" y="{}" width="9" height="{}"/>').format(left, 26 - height, height)
    if not card.healthy:
        piece += Markup('<text x="{}" y="13">×</text>').format(left + 4.5)
    return piece + Markup("</g>")


def memory_parts(card: CardRow) -> list[Part]:
    """Who holds which part of a card's memory."""
    return [Part(h.pod, h.memory_mib, gib(h.memory_mib), h.place) for h in card.holdings]


def core_parts(card: CardRow) -> list[Part]:
    """Who holds which part of a card's cores."""
    return [Part(h.pod, h.cores, cores(h.cores, card.core_unit), h.place) for h in card.holdings]


def slot_parts(card: CardRow, pods: Sequence[str]) -> list[Part]:
    """The hard partitions of a card in their places, with what is cut out for nobody in between."""
    found, end = [], 0
    for part in card.parts:
        if part.start > end:
            found.append(Part("not cut", part.start - end, "free", NOBODY))
        place = pods.index(part.pod) if part.pod in pods else NOBODY
        found.append(Part(part.slot, part.size, part.pod or "free", place))
        end = part.start + part.size
    return found


def shell(word: str) -> str:
    """A word as a shell takes it."""
    return shlex.quote(visible(word))


def plain(value: object) -> object:
    """Every value that a template prints: text of strangers shows what it holds instead of acting."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
