"""Cards that are cut into hard partitions (NVIDIA MIG): which part a request gets, given those that are taken.

Two models. *Layouts*: a card is cut as a whole, by one of several lists of parts, and anew only while nothing of it is
taken (HAMi v2.7.0 ``knownMigGeometries``, Volcano). *Placements*: every part is cut out by itself, where the profile
allows it and nobody else is (HAMi v2.10.0 ``migProfiles``). Both give the smallest part that holds the request; the
reference gives the first that does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from hami_operator.core.reasons import Reason


class Slot(NamedTuple):
    """Where a part lies: a layout and a position in its list, or a profile and the first memory slice it takes."""

    plan: str
    position: int


class Part(NamedTuple):
    """A part as it is given; ``cores`` is its share of the compute in percent, None where the model knows none."""

    slot: Slot
    profile: str
    memory_mib: int
    cores: int | None = None


class Most(NamedTuple):
    """What a card gives when it is cut to the utmost, each by itself: parts, MiB, and percent of the compute."""

    parts: int
    memory_mib: int
    cores: int


class Partitions(Protocol):
    """How one kind of card can be cut. ``refusal`` is said of a card that has no part for a request."""

    refusal: ClassVar[Reason]

    def find(self, taken: Sequence[Slot], memory_mib: int) -> Part | None:
        """The best free part with at least so much memory, while these are taken; None when there is none."""

    def whole_mib(self) -> int | None:
        """The memory of the part that is the whole card; None when the card is never left whole."""

    def problem(self, taken: Sequence[Slot]) -> str:
        """Why these can't all be taken at once; empty when they can."""

    def most(self) -> Most:
        """The most that is given of a card at a time."""


def slices(profile: str) -> int:
    """The compute slices of a profile by its name, ``2g.10gb`` -> 2; 0 where the name doesn't say."""
    match = re.match(r"(\d+)g\.", profile)
    return int(match[1]) if match else 0


def _twice(taken: Iterable[Slot]) -> str:
    slot, times = max(Counter(taken).items(), key=lambda item: item[1])
    return f"{slot.plan}-{slot.position} is taken {times} times" if times > 1 else ""


# -- the card is cut as a whole ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """Equal parts of a layout."""

    profile: str
    memory_mib: int
    count: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A list of parts under a name."""

    name: str
    parts: tuple[Part, ...]

    @property
    def slices(self) -> int:
        """The compute slices that its parts have together."""
        return sum(slices(part.profile) for part in self.parts)

    def smallest(self, memory_mib: int, taken: Sequence[Slot] = ()) -> Part | None:
        """The smallest part with so much memory that is not taken, of equals the first."""
        fitting = (part for part in self.parts if part.memory_mib >= memory_mib and part.slot not in taken)
        return min(fitting, key=lambda part: (part.memory_mib, part.slot.position), default=None)


def layout(name: str, kinds: Iterable[Kind]) -> Layout:
    """Each kind as often as it is there, in the order in which the kinds are listed."""
    flat = [kind for kind in kinds for _ in range(kind.count)]
    return Layout(
        name, tuple(Part(Slot(name, place), kind.profile, kind.memory_mib) for place, kind in enumerate(flat))
    )


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts a kind of card may have, in listed order (HAMi v2.7.0 pkg/device/nvidia allowedGeometries)."""

    layouts: tuple[Layout, ...]
    refusal: ClassVar[Reason] = Reason.CUSTOM_FILTER_RULE

    def find(self, taken: Sequence[Slot], memory_mib: int) -> Part | None:
        """The smallest free part of the layout in use; an idle card takes the layout that has the smallest.

        Of equal layouts the one that leaves the fewest slices of the card unused, then the first. The reference takes
        the first layout whose first part is large enough, and in it the first part that is: a small request may cost
        a large part.
        """
        if taken:
            current = self._named(taken[0].plan)
            return current.smallest(memory_mib, taken) if current else None
        options = ((part, layout) for layout in self.layouts if (part := layout.smallest(memory_mib)))
        best = min(options, key=lambda option: (option[0].memory_mib, -option[1].slices), default=None)
        return best[0] if best else None

    def whole_mib(self) -> int | None:
        """The largest part that is alone in its layout."""
        return max((layout.parts[0].memory_mib for layout in self.layouts if len(layout.parts) == 1), default=None)

    def problem(self, taken: Sequence[Slot]) -> str:
        """A slot that is in no layout (the configuration was changed, or the pod lies), two layouts at once, or one
        slot twice. HAMi: v2.7.0 crashes on the first (#2088)."""
        for slot in taken:
            named = self._named(slot.plan)
            if named is None or slot.position >= len(named.parts):
                return f"{slot.plan}-{slot.position} is in no layout of the card"
        plans = sorted({slot.plan for slot in taken})
        if len(plans) > 1:
            return f"parts of the layouts {', '.join(plans)} are taken at once"
        return _twice(taken) if taken else ""

    def most(self) -> Most:
        """The largest of each over all layouts; compute is not theirs to count."""
        return Most(
            max((len(layout.parts) for layout in self.layouts), default=0),
            max((sum(part.memory_mib for part in layout.parts) for layout in self.layouts), default=0),
            0,
        )

    def _named(self, name: str) -> Layout | None:
        return next((layout for layout in self.layouts if layout.name == name), None)


# -- each part by itself -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shape:
    """A profile as the driver tells it: how much it has, and at which memory slices it may begin, with its length."""

    profile: str
    memory_mib: int
    cores: int
    starts: tuple[int, ...]
    size: int

    @property
    def downwards(self) -> bool:
        """HAMi: v2.10.0 pkg/device/nvidia tries these profiles from the last start on, all others from the first."""
        return self.profile.startswith(("1g.", "3g."))

    @property
    def end(self) -> int:
        """The first slice behind all places."""
        return self.starts[-1] + self.size

    def span(self, start: int) -> int:
        """The slices of a place as bits."""
        return ((1 << self.size) - 1) << start

    def free(self, used: int) -> list[int]:
        """The starts whose slices nobody uses."""
        return [start for start in self.starts if not used & self.span(start)]


@dataclass(frozen=True, slots=True)
class Placements:
    """The profiles of one card, the smallest first."""

    shapes: tuple[Shape, ...]
    refusal: ClassVar[Reason] = Reason.CARD_MIG_TOPOLOGY_INFEASIBLE

    def find(self, taken: Sequence[Slot], memory_mib: int) -> Part | None:
        """The smallest profile that holds the request and has a place; at the place that strands the fewest slices.

        A slice is stranded for a profile when it is free and no place of that profile can use it any more. Of equal
        places the first in the reference's own direction, which is all that the reference goes by.
        """
        used = self._bits(taken)
        for shape in self.shapes:
            starts = shape.free(used) if shape.memory_mib >= memory_mib else []
            if starts:
                starts.sort(reverse=shape.downwards)
                start = min(starts, key=lambda start: self._stranded(used | shape.span(start)))
                return Part(Slot(shape.profile, start), shape.profile, shape.memory_mib, shape.cores)
        return None

    def whole_mib(self) -> int | None:
        """The largest profile, if it has one place only."""
        largest = self.shapes[-1]
        return largest.memory_mib if len(largest.starts) == 1 else None

    def problem(self, taken: Sequence[Slot]) -> str:
        """A place that no profile of the card has, or two parts that overlap."""
        used = 0
        for slot in taken:
            shape = self._named(slot.plan)
            if shape is None or slot.position not in shape.starts:
                return f"{slot.plan} at slice {slot.position} is no place of the card"
            span = shape.span(slot.position)
            if used & span:
                return f"{slot.plan} at slice {slot.position} overlaps another part"
            used |= span
        return ""

    def most(self) -> Most:
        """Over all ways to place parts side by side."""
        ends = max(shape.end for shape in self.shapes)
        best = [Most(0, 0, 0)]
        for end in range(1, ends + 1):
            options = [best[-1]]
            for shape in self.shapes:
                if end - shape.size in shape.starts:
                    before = best[end - shape.size]
                    options.append(
                        Most(before.parts + 1, before.memory_mib + shape.memory_mib, before.cores + shape.cores)
                    )
            best.append(Most(*(max(column) for column in zip(*options, strict=True))))
        return best[-1]

    def length(self, slot: Slot) -> int:
        """How many slices a taken part has. Raises AssertionError for a slot that the card does not have."""
        shape = self._named(slot.plan)
        assert shape is not None, slot
        return shape.size

    def _named(self, profile: str) -> Shape | None:
        return next((shape for shape in self.shapes if shape.profile == profile), None)

    def _bits(self, taken: Iterable[Slot]) -> int:
        used = 0
        for slot in taken:
            shape = self._named(slot.plan)
            used |= shape.span(slot.position) if shape else 0
        return used

    def _stranded(self, used: int) -> int:
        """Free slices that a profile can't use any more, summed over the profiles."""
        free = max(shape.end for shape in self.shapes) - used.bit_count()
        return sum(free - shape.size * _side_by_side(shape, used) for shape in self.shapes)


def _side_by_side(shape: Shape, used: int) -> int:
    """How many parts of one profile still go beside each other: places from the first on, all are of one length."""
    count = 0
    for start in shape.starts:
        span = shape.span(start)
        if not used & span:
            used |= span
            count += 1
    return count


def same_model(name: str, model: str) -> bool:
    """Whether a configured model name is a card's: whole words, whatever stands between them, in any case.

    ``A100-80GB-PCIe`` is what NVML calls ``NVIDIA A100 80GB PCIe``; HAMi takes any part of the text, so that an H200 is
    an H20 and no A100 of that kind is known.
    """
    words, text = (re.sub(r"[^0-9a-z]+", " ", each.lower()).strip() for each in (name, model))
    return bool(words) and re.search(rf"(?<![0-9a-z]){re.escape(words)}(?!\d)", text) is not None
