"""A text as a person would read it: escapes decoded, look-alike characters made plain.

Each character of a view knows the piece of the original text that it came from, so that what is
found in a view can be replaced in the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_ROUNDS: Final = 6
"""An address in an address in an address: deeper than anything that is meant to be read."""

_ESCAPES: Final = re.compile(r'(?:%[0-9A-Fa-f]{2})++|\\(?:u[0-9A-Fa-f]{4}|["\\/bfnrt])')
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

DIGIT_BLOCKS: Final = (0xFF10, 0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50)
"""Zeros: fullwidth, Arabic-Indic, Persian, Devanagari, Bengali, Thai."""
_OTHER_DIGITS: Final = "".join(chr(zero + n) for zero in DIGIT_BLOCKS for n in range(10))
# A single one is a letter of its script's prose; three in a row are a number.
_NUMBER: Final = re.compile(f"[{_OTHER_DIGITS}]{{3}}")
_SPACES: Final = (0xA0, *range(0x2000, 0x2010), *range(0x202A, 0x2030), 0x205F, 0x3000, 0xFEFF)
_DASHES: Final = (0xAD, *range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D)
_PUNCTUATION: Final = str.maketrans("＠．＋（）／", "@.+()/")
_PLAIN: Final = _PUNCTUATION | dict.fromkeys(_SPACES, " ") | dict.fromkeys(_DASHES, "-")
_PLAIN_DIGITS: Final = _PLAIN | {ord(c): str(i % 10) for i, c in enumerate(_OTHER_DIGITS)}


@dataclass(frozen=True, slots=True)
class View:
    """A reading of a text. `starts[i]` is where character i begins in the original."""

    text: str
    starts: list[int] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The piece of the original that these characters came from."""
        if self.starts is None:
            return start, end
        return self.starts[start], self.starts[end]


def read_closer(text: str) -> Iterator[View]:
    """The text, then each round of decoding that changes it."""
    view = View(text)
    yield view
    for _ in range(MAX_ROUNDS):
        if "%" not in view.text and "\\" not in view.text:
            return
        decoded = _decode(view)
        if decoded is None:
            return
        view = decoded
        yield view


def plain(view: View) -> View:
    """Other scripts' digits, spaces, dashes and fullwidth signs as their ASCII counterparts."""
    if view.text.isascii():
        return view
    table = _PLAIN_DIGITS if _NUMBER.search(view.text) else _PLAIN
    return View(view.text.translate(table), view.starts)


def _decode(view: View) -> View | None:
    pieces: list[str] = []
    places: list[int] = []
    done = 0
    for match in _ESCAPES.finditer(view.text):
        start, end = match.span()
        pieces.append(view.text[done:start])
        places.extend(range(done, start))
        for char, place in _unescape(match[0], start):
            pieces.append(char)
            places.append(place)
        done = end
    if done == 0:
        return None
    pieces.append(view.text[done:])
    places.extend(range(done, len(view.text) + 1))
    starts = places if view.starts is None else [view.starts[p] for p in places]
    return View("".join(pieces), starts)


def _unescape(escape: str, start: int) -> Iterator[tuple[str, int]]:
    """Each decoded character, and where its escape begins."""
    if escape[0] == "\\":
        char = escape[1]
        yield (chr(int(escape[2:], 16)) if char == "u" else _SHORT.get(char, char)), start
        return
    raw = bytes.fromhex(escape.replace("%", ""))
    at = start
    for char in raw.decode("utf-8", "surrogateescape"):
        yield char, at
        at += 3 * (1 if "\ud800" <= char <= "\udfff" else len(char.encode()))
