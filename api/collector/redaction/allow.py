"""Fields that a site has declared to be harmless."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

MAX_PATH_NAMES: Final = 8
"""How many names of a path are told apart, so that a deep tree costs no more than a flat one."""

_REMEMBERED_SITES: Final = 1_024


class AllowList:
    """Field names and dotted paths by site pattern; `*` stands for every site."""

    def __init__(self, allow: Mapping[str, frozenset[str]]) -> None:
        self._allow = dict(allow)
        # Bounded: whoever sends events names the sites.
        self.for_site = lru_cache(maxsize=_REMEMBERED_SITES)(self._for_site)

    def _for_site(self, site_id: str) -> frozenset[str]:
        """The names and paths whose values are left alone on this site."""
        fields: frozenset[str] = frozenset()
        for pattern, names in self._allow.items():
            if fnmatchcase(site_id.lower(), pattern.lower()):
                fields |= names
        return fields


def is_allowed(path: tuple[str, ...], allowed: frozenset[str]) -> bool:
    """Whether a field is on the list: by its name, or by the end of its dotted path."""
    return any(".".join(path[-size:]) in allowed for size in range(1, len(path) + 1))
