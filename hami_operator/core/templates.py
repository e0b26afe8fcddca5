"""Cards that are cut by templates: an amount of memory costs the smallest template that holds it, or the whole card."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """A slice a card can be cut into, with its part of the memory; without a name it is the whole card."""

    name: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Templates:
    """What a kind of card can be cut into; ``slices`` rise in memory.

    ``allocatable_mib`` is what the whole card gives, ``capacity_mib`` the most that may be asked for to mean it;
    ``unit_mib`` is one of the resource's amounts in MiB.
    """

    slices: tuple[Template, ...]
    allocatable_mib: int
    capacity_mib: int
    unit_mib: int

    def holding(self, mib: int) -> Template | None:
        """The smallest slice or the whole card that holds this much; None when no card does."""
        for template in self.slices:
            if mib <= template.memory_mib:
                return template
        return Template("", self.allocatable_mib) if mib <= self.capacity_mib else None

    def units(self, template: Template) -> int:
        """A template's memory as an amount of the resource that is read back as the same template."""
        down = template.memory_mib // self.unit_mib
        same = self.holding(down * self.unit_mib) == template
        return down if same else -(-template.memory_mib // self.unit_mib)

    @property
    def whole(self) -> Template:
        """The whole card."""
        return Template("", self.allocatable_mib)
