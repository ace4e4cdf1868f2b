"""Whom intake refuses: erased visitors and users, known by digests only."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Final
from uuid import UUID

from core.suppression import person_prefix

# Strings and whole numbers of a JSON text, be it cut anywhere or broken. An unclosed string is one
# token too: were it none, each quote in it would be tried in turn.
_SCALAR: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|-?\d+', re.DOTALL)
_NOBODY: Final = UUID(int=0)


class Suppressions:
    """The list, as it is asked; false when it is empty."""

    __slots__ = ("_digests", "_user", "_visitor")

    def __init__(self, stack_id: UUID = _NOBODY, digests: frozenset[bytes] = frozenset()) -> None:
        self._digests = digests
        self._visitor = person_prefix(stack_id, "visitor")
        self._user = person_prefix(stack_id, "user")

    def __bool__(self) -> bool:
        return bool(self._digests)

    def covers(self, *, visitor_id: str | None, user_id: str | None) -> bool:
        """Whether either of them is on the list."""
        digests = self._digests
        return (
            visitor_id is not None
            and sha256(self._visitor + visitor_id.encode()).digest() in digests
        ) or (user_id is not None and sha256(self._user + user_id.encode()).digest() in digests)

    def mentioned_in(self, text: str) -> bool:
        """Whether anybody on the list stands in a JSON text, under whatever name."""
        for scalar in _SCALAR.findall(text):
            try:
                value = json.loads(scalar) if scalar[0] == '"' else scalar
                if self.covers(visitor_id=value, user_id=value):
                    return True
            except ValueError:  # a broken escape, or half of a surrogate pair: nobody's id
                continue
        return False
