"""US social security numbers: AAA-GG-SSSS with an area that was ever issued."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from api.collector.redaction.detector import Detector, Span, mark
from api.collector.redaction.digits import Chain, is_attached

_SEPARATORS: Final = ("-", " ", "+")  # a plus is a space in a query string


def find_ssns(text: str, chain: Chain) -> Iterator[Span]:
    """The numbers of this shape among these digits."""
    for at in range(len(chain.groups) - 2):
        gap = chain.gaps[at]
        if gap not in _SEPARATORS or chain.gaps[at + 1] != gap:
            continue
        if [chain.size(at + n) for n in range(3)] != [3, 2, 4] or _continues(chain, at, gap):
            continue
        (start, a), (b, c), (d, end) = chain.groups[at : at + 3]
        if _was_issued(text[start:a], text[b:c], text[d:end]) and not is_attached(text, start, end):
            yield Span(start, end, mark(Detector.SSN))


def _continues(chain: Chain, at: int, gap: str) -> bool:
    """Whether the same separator ties it to more digits."""
    return (at > 0 and chain.gaps[at - 1] == gap) or (
        at + 2 < len(chain.gaps) and chain.gaps[at + 2] == gap
    )


def _was_issued(area: str, group: str, serial: str) -> bool:
    # Rules of the Social Security Administration, which outlived the randomisation of 2011.
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"
