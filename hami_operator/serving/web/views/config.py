"""``/config``: the settings in force, where each comes from, and which families are known."""

from __future__ import annotations

from dataclasses import dataclass

from hami_operator.serving.sight import SettingView, Sight


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """A family in force: its resource names as users write them, and how many cards there are."""

    key: str
    resources: list[str]
    cards: int


@dataclass(frozen=True, slots=True)
class ConfigView:
    """Settings, families in force, and what is wrong with the configuration."""

    settings: list[SettingView]
    families: list[FamilyRow]
    remarks: list[str]


def config(sight: Sight) -> ConfigView:
    """Build it."""
    counts: dict[str, int] = {}
    for rollup in sight.rollups().values():
        for kind in rollup.kinds.values():
            counts[kind.family] = counts.get(kind.family, 0) + kind.cards
    families = [
        FamilyRow(profile.key, [name for name in profile.names.all() if name], counts.get(profile.key, 0))
        for profile in sight.world.cluster.profiles
    ]
    return ConfigView(list(sight.settings), families, sight.remarks())
