"""US social security numbers: AAA-GG-SSSS with an area that was ever issued."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from api.collector.redaction.detector import Detector, Span, mark
from api.collector.redaction.digits import Chain, is_attached

_SEPARATORS: Final = ("-", " ")


def find_ssns(text: str, chain: Chain) -> Iterator[Span]:
    """The numbers of this shape among these digits."""
    for at, size in enumerate(chain.sizes):
        if size == 3 and chain.sizes[at + 1 : at + 3] == [2, 4] and _is_separated(chain, at):
            start, end = chain.starts[at], chain.end(at + 2)
            number = chain.digits(text, at, at + 2)
            if _was_issued(number) and not is_attached(text, start, end):
                yield Span(start, end, mark(Detector.SSN))


def _is_separated(chain: Chain, at: int) -> bool:
    """Whether one separator stands twice in it, and does not tie it to more digits."""
    first, second = chain.separators[at : at + 2]
    around = chain.separators[max(0, at - 1) : at] + chain.separators[at + 2 : at + 3]
    return first in _SEPARATORS and first == second and first not in around


def _was_issued(number: str) -> bool:
    # Rules of the Social Security Administration, which outlived the randomisation of 2011.
    area, group, serial = number[:3], number[3:5], number[5:]
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"
