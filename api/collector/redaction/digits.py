"""Runs of digits, and the groups that separators make of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]+")
_GAP_CHARS: Final = frozenset(" .-+/()")
_MAX_GAP: Final = 3
_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_WORD_BEFORE: Final = re.compile(r"[A-Za-z0-9]{1,40}\Z")
_WORD_AFTER: Final = re.compile(r"[A-Za-z0-9]{1,40}")


@dataclass(slots=True)
class Chain:
    """Groups of digits with at most a few separators between each two of them."""

    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    separators: list[str] = field(default_factory=list)
    """The gaps, where a plus alone is a space, as in a query string."""

    def end(self, index: int) -> int:
        """Where the group ends."""
        return self.starts[index] + self.sizes[index]

    def digits(self, text: str, first: int, last: int) -> str:
        """The digits from one group to another, nothing between them."""
        return "".join(text[self.starts[i] : self.end(i)] for i in range(first, last + 1))


def find_chains(text: str, *, at_least: int) -> Iterator[Chain]:
    """The text's digits in chains of so many digits or more.

    Digits within a word (`a1b2`, `SM-G960F`) belong to none.
    """
    chain = Chain()
    behind = -1
    for match in _DIGITS.finditer(text):
        start, end = match.span()
        gap = text[behind:start] if 0 <= behind >= start - _MAX_GAP else "x"
        is_word = (start and text[start - 1] in _WORD) or text[end : end + 1] in _WORD
        if is_word or not _GAP_CHARS.issuperset(gap):
            if sum(chain.sizes) >= at_least:
                yield chain
            chain = Chain()
        elif chain.starts:
            chain.gaps.append(gap)
            chain.separators.append(" " if gap == "+" else gap)
        if not is_word:
            chain.starts.append(start)
            chain.sizes.append(end - start)
            behind = end
    if sum(chain.sizes) >= at_least:
        yield chain


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
