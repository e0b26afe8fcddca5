"""The families in force, with all that is asked about them for every pod looked up once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from hami_operator.core import protocol
from hami_operator.core.model import Container
from hami_operator.core.vendor import Admission, Profile, managed_names

#: Device lists of families that are not enabled here: nobody else's to bring either.
WRITTEN_PATTERN = r"^hami\.io/.+-devices-(to-allocate|allocated)$"

_written = re.compile(WRITTEN_PATTERN)


def speaks_to_all(profile: Profile) -> bool:
    """Whether the family changes containers that ask for nothing of it (``nvidia.overwriteEnv``)."""
    return profile.hooks.admit(profile, Container("any"), {}) != Admission()


def written_keys(profiles: Iterable[Profile]) -> tuple[list[str], list[str]]:
    """Pod annotations that only the scheduler may write, beside ``WRITTEN_PATTERN``: whole keys, and prefixes."""
    keys = protocol.COMMON_WRITTEN_KEYS.union(*(profile.written_keys for profile in profiles))
    prefixes = {protocol.OWN_PREFIX}.union(*(profile.extra_prefixes for profile in profiles))
    rest = (key for key in keys if not key.startswith(protocol.OWN_PREFIX) and not _written.fullmatch(key))
    return sorted(rest), sorted(prefixes)


class Catalogue:
    """Profiles in their fixed order.

    ``modes``: annotation and allowed words of the families that have such; ``limited``: families that do not serve
    every pod as a whole.
    """

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.profiles = tuple(profiles)
        self.names = managed_names(profiles)
        self.modes = tuple((profile.selection.mode, profile.mode_words) for profile in profiles if profile.mode_words)
        self.limited = tuple(profile for profile in profiles if profile.one_name or profile.one_container)
        self._all_names = frozenset(self.names)
        self._by_name: dict[str, tuple[int, ...]] = {
            name: tuple(place for place, profile in enumerate(profiles) if name in profile.names.all())
            for name in self.names
        }
        self._always = frozenset(place for place, profile in enumerate(profiles) if speaks_to_all(profile))
        keys, prefixes = written_keys(profiles)
        self._keys, self._prefixes = frozenset(keys), tuple(prefixes)

    def admissions(self, container: Container, annotations: Mapping[str, str]) -> dict[Profile, Admission]:
        """What the families say to the container, in order; those it is no matter of are not asked.

        Raises:
            InvalidRequest: one of them refuses it.
        """
        places = set(self._always)
        for name in (*container.limits, *container.requests):
            places.update(self._by_name.get(name, ()))
        concerned = (self.profiles[place] for place in sorted(places))
        return {profile: profile.hooks.admit(profile, container, annotations) for profile in concerned}

    def named_in(self, keys: Mapping[str, str]) -> list[str]:
        """Managed resource names among the keys, in order."""
        return [] if self._all_names.isdisjoint(keys) else [name for name in self.names if name in keys]

    def writes(self, key: str) -> bool:
        """Whether a pod annotation is one that only the scheduler may write."""
        return key in self._keys or key.startswith(self._prefixes) or _written.fullmatch(key) is not None
