"""Runs of digits, and the groups that separators make of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]+")
_GAP_CHARS: Final = frozenset(" .-+/()")
_MAX_GAP: Final = 3
_WORD: Final = re.compile(r"[A-Za-z0-9_]")
_WORD_BEFORE: Final = re.compile(r"[A-Za-z0-9]{1,40}\Z")
_WORD_AFTER: Final = re.compile(r"[A-Za-z0-9]{1,40}")


@dataclass(slots=True)
class Chain:
    """Groups of digits with at most a few separators between each two of them."""

    groups: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def size(self, index: int) -> int:
        """How many digits the group has."""
        start, end = self.groups[index]
        return end - start


def find_chains(text: str) -> Iterator[Chain]:
    """The text's digits in chains. Digits within a word (`a1b2`, `SM-G960F`) belong to none."""
    chain = Chain()
    for match in _DIGITS.finditer(text):
        start, end = match.span()
        if _is_word(text, start - 1) or _is_word(text, end):
            if chain.groups:
                yield chain
                chain = Chain()
            continue
        if chain.groups:
            gap = text[chain.groups[-1][1] : start]
            if len(gap) <= _MAX_GAP and _GAP_CHARS.issuperset(gap):
                chain.gaps.append(gap)
            else:
                yield chain
                chain = Chain()
        chain.groups.append((start, end))
    if chain.groups:
        yield chain


def _is_word(text: str, index: int) -> bool:
    return 0 <= index < len(text) and _WORD.match(text, index) is not None


def is_attached(text: str, start: int, end: int) -> bool:
    """Whether a dash or a point ties these digits to more digits, or to a word that has some.

    `12-4111…`, `0.4111…`, `a1-4111…` and `4111…-b2` are parts of something longer; `no-4111…` and
    `4111….0`, a float's text, are not.
    """
    if start >= 2 and text[start - 1] in "-.":
        before = _WORD_BEFORE.search(text, max(0, start - 41), start - 1)
        if before and _has_digit(before[0]):
            return True
    if end + 1 < len(text) and text[end] in "-.":
        after = _WORD_AFTER.match(text, end + 1)
        if after and _has_digit(after[0]):
            return not (text[end] == "." and set(after[0]) == {"0"})
    return False


def _has_digit(word: str) -> bool:
    return any("0" <= c <= "9" for c in word)
